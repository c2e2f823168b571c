"""Training steps that are not finite are left out; many in a row end the run."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..utils.lists import name_some
from .step_gate import StepGate

_SKIPPED = 'skipped_steps'


class NotFiniteError(ArithmeticError):
    """A run that has come to numbers that are not finite and does not recover."""


@HOOKS.register_module()
class FiniteStepHook(Hook):
    """Leave out training steps whose loss or gradients are not finite.

    Weights, their moving average (``EMAHook``) and the optimizer's state stay as they are; rates
    and epochs go on. Each such step is logged and counted; the count is in the checkpoints and a
    resumed run goes on with it. After ``patience`` of them in a row the run ends. Weights that are
    not finite are never saved.

    What counts, and what a loss scaler is left to do by itself, is told by :class:`StepGate`.

    Args:
        patience: Steps in a row that end the run; the row begins anew when a run is resumed.

    Raises:
        ValueError: If ``patience`` is below 1.
    """

    # Before what averages, logs and saves.
    priority = 'HIGH'

    def __init__(self, patience: int = 20) -> None:
        if patience < 1:
            raise ValueError(f'finite_steps.patience must be at least 1, got {patience}')
        self.patience = patience
        self._gate: StepGate | None = None
        self._streak = 0
        self._images: list[str] = []
        self._averages: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Have moving averages leave out what the optimizer leaves out."""
        self._averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
        for average in self._averages:
            self._guard_average(average)

    def _guard_average(self, average: Any) -> None:
        update = average.update_parameters

        def update_if_stepped(model: Any) -> None:
            if self._gate is None or not self._gate.skipped:
                update(model)

        average.update_parameters = update_if_stepped

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Mapping[str, Any] | None = None
    ) -> None:
        """Stand before the optimizer, which changes with the stage."""
        if self._gate is None or self._gate.wrapper is not runner.optim_wrapper:
            self._gate = StepGate(runner.optim_wrapper, [runner.model, *self._averages])
        self._gate.begin()
        self._images += _images(data_batch)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Count a step that was left out.

        Raises:
            NotFiniteError: After ``patience`` of them in a row.
        """
        if self._gate is None or self._gate.skipped is None:
            return
        images, self._images = self._images, []
        if not self._gate.skipped:
            self._streak = 0
            return
        self._streak += 1
        hub = runner.message_hub
        hub.update_info(_SKIPPED, hub.get_info(_SKIPPED, 0) + 1)
        stage = hub.get_info('stage')
        where = f'step {runner.iter + 1}' + (f' (stage {stage})' if stage else '')
        what = _describe(outputs or {}, images)
        runner.logger.warning(
            f'{where} is left out: its loss or gradients are not finite; {what}. '
            f'{self._streak} in a row, {hub.get_info(_SKIPPED)} in all'
        )
        if self._streak >= self.patience:
            rates = sorted({group['lr'] for group in self._gate.wrapper.optimizer.param_groups})
            mixed = hasattr(self._gate.wrapper, 'loss_scaler')
            raise NotFiniteError(
                f'{self._streak} training steps in a row had a loss or gradients that are not '
                f'finite, the last one at {where}; {what}. They were left out: the weights are '
                'those from before, and checkpoints are good. Try '
                f'a lower learning rate (now {", ".join(f"{rate:.3g}" for rate in rates)}); '
                + (
                    'bfloat16 (--cfg-options optim_wrapper.dtype=bfloat16) or no --amp at all; '
                    if mixed
                    else ''
                )
                + 'a look at these images. default_hooks.finite_steps.patience says how many steps '
                'are waited for'
            )

    def after_train(self, runner: Runner) -> None:
        """Say how many steps a finished run has left out."""
        skipped = runner.message_hub.get_info(_SKIPPED, 0)
        if skipped:
            runner.logger.warning(
                f'{skipped} of {runner.max_iters} training steps were left out: loss or gradients '
                'were not finite'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to save weights that are not finite.

        Raises:
            NotFiniteError: If there are any; names them.
        """
        bad = [
            name
            for name, value in checkpoint['state_dict'].items()
            if value.is_floating_point() and not value.isfinite().all()
        ]
        if bad:
            raise NotFiniteError(
                f'weights are not finite and were not saved: {name_some(bad)}. The checkpoints '
                'there are were saved before; go on from one of them with a lower learning rate'
            )


def _images(data_batch: Any) -> list[str]:
    """Paths of the images of a batch, as far as its samples know them."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    if not isinstance(samples, Sequence):
        return []
    paths = [sample.get('img_path') for sample in samples if hasattr(sample, 'get')]
    return [str(path) for path in paths if path is not None]


def _describe(losses: Mapping[str, Any], images: Sequence[str]) -> str:
    """The losses of a step and its images."""
    values = ', '.join(f'{name} {value.item():.4g}' for name, value in losses.items())
    parts = [values or 'losses unknown']
    if images:
        parts.append(f'images {name_some(images)}')
    return ', '.join(parts)
