"""Checkpoints that are complete or absent after a kill, and what a resumed run cannot change."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_world_size, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ..utils.errors import Refusal
from ..utils.io import atomic_write, remove_leftovers, write_json
from ..utils.record import differences
from .weights_file import save_weights

# What a run without stages leaves at its end, and the metrics on the validation images.
WEIGHTS, METRICS = 'weights.pth', 'metrics.json'


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written to a temporary name and renamed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        with atomic_write(filepath, 'wb') as file:
            file.write(obj)


register_backend('atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook`` for runs that may be killed at any moment.

    One more than ``max_keep_ckpts`` is kept, because MMEngine removes the oldest before it writes
    the next. Temporary files of killed runs are removed when training starts. A run without stages
    ends with its weights in ``weights.pth`` and, if it validates, their ``metrics.json``.
    ``by_epoch=False`` in training that counts epochs is refused, and a ``save_best`` that is no
    metric.
    """

    backend_args: dict[str, Any] | None
    max_keep_ckpts: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._metrics: dict[str, float] = {}
        if self.max_keep_ckpts > 0:
            self.max_keep_ckpts += 1
        # Other backends, such as object stores, write whole files anyway.
        if self.backend_args is None and '://' not in str(self.out_dir):
            self.backend_args = dict(backend='atomic')

    def before_train(self, runner: Runner) -> None:
        """Refuse settings that cannot be resumed, and remove files of killed runs."""
        if not self.by_epoch and isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise Refusal(
                'default_hooks.checkpoint: a checkpoint within an epoch (by_epoch=False) cannot be '
                'resumed exactly: set by_epoch=True and interval to a number of epochs'
            )
        if self.save_best and self.save_best != ['auto'] and runner.val_loop is not None:
            _check_metrics(runner, self.save_best)
        if is_main_process():
            for folder in {runner.work_dir, str(self.out_dir or runner.work_dir)}:
                if '://' not in folder:
                    remove_leftovers(folder)
        super().before_train(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep only tensors and plain data, which PyTorch's weights-only loading accepts."""
        hub = checkpoint.get('message_hub')
        if hub is None:  # the weights at the end of a stage
            return
        info = hub['runtime_info'].items()
        hub['runtime_info'] = {k: v.item() if isinstance(v, np.generic) else v for k, v in info}
        hub['log_scalars'] = {}  # objects of MMEngine: running means of the log start anew
        hub['resumed_keys'] = dict.fromkeys(hub['runtime_info'], True)
        schedulers = checkpoint.get('param_schedulers')
        for state in schedulers if isinstance(schedulers, list) else []:
            # The state of OneCycleLR contains methods; the new object has them too.
            for key in [key for key, value in state.items() if callable(value)]:
                del state[key]
        checkpoint['meta']['settings'] = settings_of(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to resume without a state of training, or with other settings."""
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
        now = settings_of(runner)
        saved = meta.get('settings', now)
        if 'stages' in saved and 'stages' in now:
            done = saved['stage'] + 1  # later stages may change
            saved, now = ({'stages': part['stages'][:done]} for part in (saved, now))
        changes = [f'{key} {old} -> {new}' for key, old, new in differences(saved, now)]
        if changes:
            raise Refusal(
                'this checkpoint was made with other settings, which resuming cannot change: '
                f'{"; ".join(changes[:8])}. Resume with the old ones, or start a new run from its '
                'weights: without --resume, in another --work-dir, with --cfg-options '
                f'load_from={source}'
            )

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
        if is_main_process():
            path.unlink(missing_ok=True)  # the metrics of an earlier run
            if self._metrics:
                write_json(path, self._metrics)
        runner.logger.info(f'weights saved as {WEIGHTS}')


def is_staged(runner: Runner) -> bool:
    """Whether a run is one of ``StagedTrainLoop``."""
    return hasattr(runner.train_loop, 'plan')


def source_of(runner: Runner) -> str | None:
    """The checkpoint that a run is resumed from; None if it is a new one."""
    return runner._load_from if runner._resume else None


def settings_of(runner: Runner) -> dict[str, Any]:
    """Settings that a checkpoint restores, as plain data; those of data and model may change."""
    loop: Any = runner.train_loop
    if is_staged(runner):
        settings = dict(stages=loop.settings(), stage=loop.current)
    else:
        schedule = runner.cfg.get('param_scheduler')
        settings = dict(
            # Without a schedule a run can be made longer.
            train_cfg=dict(max_epochs=loop.max_epochs) if schedule else None,
            optim_wrapper=runner.cfg.get('optim_wrapper'),
            param_scheduler=schedule,
            images_per_step=(loop.dataloader.batch_size or 0) * get_world_size(),
            steps_per_epoch=len(loop.dataloader),
        )
    return json.loads(json.dumps(settings, default=str))


def _check_metrics(runner: Runner, wanted: list[str]) -> None:
    """Refuse metrics that validation does not give; they are tried on one batch."""
    runner.logger.warning(
        f'save_best={wanted} chooses weights by the labels of pixels of the validation images, '
        'which is no weak supervision'
    )
    batch = next(iter(runner.val_dataloader))
    runner.model.eval()
    evaluator = runner.val_evaluator
    evaluator.process(data_samples=runner.model.val_step(batch), data_batch=batch)
    found = evaluator.evaluate((runner.val_dataloader.batch_size or 1) * get_world_size())
    if lacking := [name for name in wanted if name not in found]:
        raise Refusal(
            f'default_hooks.checkpoint.save_best={lacking}: validation gives no such metric, it '
            f'gives {", ".join(found)}'
        )
