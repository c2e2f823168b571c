"""Metrics of the last validation, for hooks that save them with weights."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class ValidationMetrics(Hook):
    """Base of hooks that save weights and their metrics on the validation images."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._metrics: dict[str, float] = {}

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Store the latest metrics."""
        super().after_val_epoch(runner, metrics)
        self._metrics = {k: float(v) for k, v in (metrics or {}).items()}

    def metrics_of_weights(self, runner: Runner) -> dict[str, float]:
        """The latest metrics; empty if the run does not validate."""
        if not self._metrics and runner.val_loop is not None:
            # Resumed between the last checkpoint and the end of its validation.
            runner.val_loop.run()
        return self._metrics
