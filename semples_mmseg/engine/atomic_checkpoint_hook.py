"""Checkpoints that are complete or absent after a kill."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ..utils.errors import Refusal
from ..utils.io import atomic_write, remove_leftovers, write_json
from .resume import check_settings, is_staged, settings_of, source_of
from .weights_file import save_weights

WEIGHTS = 'weights.pth'
"""Weights that a run without stages leaves at its end."""
METRICS = 'metrics.json'
"""Their metrics on the validation images."""


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written to a temporary name and renamed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; see ``atomic_write``."""
        with atomic_write(filepath, 'wb') as file:
            file.write(obj)


register_backend('atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook`` for runs that may be killed at any moment.

    Checkpoints are written to temporary files, flushed to disk and renamed. An old checkpoint is
    removed after the new one is written, so that ``max_keep_ckpts`` complete ones exist at every
    moment. With two or more, a run whose last checkpoint is damaged later resumes from the one
    before. Temporary files of killed runs are removed when training starts. At the end of a run
    without stages the weights alone are written to ``weights.pth``, and their metrics to
    ``metrics.json`` if the run validates.

    Args:
        **kwargs: As of ``CheckpointHook``.

    Raises:
        ValueError: With ``by_epoch=False`` in training that counts epochs: such a run resumes at
            the start of an epoch with weights from its middle.
    """

    backend_args: dict[str, Any] | None
    keep_ckpt_ids: deque[int]
    max_keep_ckpts: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._metrics: dict[str, float] = {}
        # Other backends, such as object stores, write whole files anyway.
        if self.backend_args is None and '://' not in str(self.out_dir):
            self.backend_args = dict(backend='atomic')

    def before_train(self, runner: Runner) -> None:
        """Refuse settings that cannot be resumed, and remove files of killed runs."""
        if not self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise Refusal(
                'default_hooks.checkpoint has by_epoch=False, but a checkpoint within an epoch '
                'cannot be resumed exactly: set by_epoch=True and interval to a number of epochs'
            )
        if is_main_process():
            for folder in {runner.work_dir, str(self.out_dir or runner.work_dir)}:
                if '://' not in folder:
                    remove_leftovers(folder)
        super().before_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep only tensors and plain data, which PyTorch's weights-only loading accepts.

        The histories of logged values are removed, because they are objects of MMEngine: a resumed
        run starts the running means of its log anew. NumPy's numbers become Python's.
        """
        hub = checkpoint.get('message_hub')
        if hub is None:  # the weights at the end of a stage
            return
        info = hub['runtime_info'].items()
        hub['runtime_info'] = {k: v.item() if isinstance(v, np.generic) else v for k, v in info}
        hub['log_scalars'] = {}
        resumed = hub['resumed_keys'].items()
        hub['resumed_keys'] = {k: v for k, v in resumed if k in hub['runtime_info']}
        schedulers = checkpoint.get('param_schedulers')
        if isinstance(schedulers, list):
            # The state of OneCycleLR contains methods; the new object has them too.
            checkpoint['param_schedulers'] = [
                {key: value for key, value in state.items() if not callable(value)}
                for state in schedulers
            ]
        checkpoint['meta']['settings'] = settings_of(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume from a file without state of training, or with other settings.

        Raises:
            ValueError: See `check_settings`; also if there is no state of training.
        """
        source = source_of(runner)
        if source is None:
            return
        meta = checkpoint.get('meta', {})
        meta.pop('config', None)  # MMEngine runs it
        if 'optimizer' not in checkpoint or 'epoch' not in meta:
            raise Refusal(
                f'{source} cannot be resumed: it has weights and no state of training. '
                'Start a new run from it: load_from without --resume'
            )
        if 'settings' in meta:
            check_settings(meta['settings'], runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Save a best checkpoint if one is wanted, and keep the metrics for the end."""
        super().after_val_epoch(runner, metrics)
        self._metrics = {k: float(v) for k, v in (metrics or {}).items()}

    def after_train(self, runner: Runner) -> None:
        """Save weights and metrics, but not in a staged run, whose loop does so."""
        super().after_train(runner)
        if is_staged(runner):
            return
        if not self._metrics and runner.val_loop is not None:
            # Resumed between the last checkpoint and the end of its validation.
            runner.val_loop.run()
        save_weights(runner, WEIGHTS)
        path = Path(runner.work_dir) / METRICS
        if self._metrics and is_main_process():
            write_json(path, self._metrics)
        elif is_main_process():
            path.unlink(missing_ok=True)  # the metrics of an earlier run
        runner.logger.info(f'weights saved as {WEIGHTS}')

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        """Save one checkpoint, then remove the oldest; MMEngine removes first."""
        limit = self.max_keep_ckpts
        if limit <= 0:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        keep = [*(old for old in self.keep_ckpt_ids if old != step), step]
        # One too many: if the run is killed before it is removed, the resumed run removes it.
        runner.message_hub.update_info('keep_ckpt_ids', keep)
        self.keep_ckpt_ids = deque(keep, limit)
        self.max_keep_ckpts = -1
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = limit
        for old in keep[:-limit] if is_main_process() else []:
            path = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(old))
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
