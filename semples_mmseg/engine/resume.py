"""Settings that a checkpoint was made with, and that a resumed run cannot change."""

import json
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from ..utils.errors import Refusal
from ..utils.record import differences


def settings_of(runner: Runner) -> dict[str, Any]:
    """Settings that a checkpoint restores: length, optimizer, schedule, steps.

    Data, augmentation and settings of the model are not among them: they take effect when a run is
    resumed.

    Args:
        runner: The runner, in training.

    Returns:
        Plain data. In a staged run: one entry a stage, and the position of the present stage.
    """
    loop: Any = runner.train_loop
    if is_staged(runner):
        return _plain(dict(stages=loop.settings(), stage=loop.current))
    schedule = runner.cfg.get('param_scheduler')
    return _plain(
        dict(
            # Without a schedule a run can be made longer.
            train_cfg=dict(max_epochs=loop.max_epochs) if schedule else None,
            optim_wrapper=runner.cfg.get('optim_wrapper'),
            param_scheduler=schedule,
            images_per_step=(loop.dataloader.batch_size or 0) * get_world_size(),
            steps_per_epoch=len(loop.dataloader),
        )
    )


def is_staged(runner: Runner) -> bool:
    """Whether a run is one of ``StagedTrainLoop``."""
    return hasattr(runner.train_loop, 'plan')


def source_of(runner: Runner) -> str | None:
    """The checkpoint that a run is resumed from; None if it is a new one."""
    return runner._load_from if runner._resume else None


def check_settings(saved: Mapping[str, Any], runner: Runner) -> None:
    """Refuse to resume a run whose settings differ from the settings in the checkpoint.

    Stages that come after the checkpoint's may change.

    Args:
        saved: Settings of the checkpoint, as `settings_of` makes them.
        runner: The resumed run.

    Raises:
        Refusal: If settings differ; the message names them and what to do.
    """
    now = settings_of(runner)
    if 'stages' in saved and 'stages' in now:
        done = saved['stage'] + 1
        saved, now = ({'stages': part['stages'][:done]} for part in (saved, now))
    changes = [f'{key} {old} -> {new}' for key, old, new in differences(saved, now)]
    if changes:
        raise Refusal(
            'this checkpoint was made with other settings, which resuming cannot change: '
            f'{"; ".join(changes[:8])}. Resume with the old ones, or start a new run from its '
            'weights: without --resume, in another --work-dir, with --cfg-options '
            f'load_from={source_of(runner)}'
        )


def _plain(value: Any) -> Any:
    value = value.to_dict() if isinstance(value, (Config, ConfigDict)) else value
    return json.loads(json.dumps(value, default=str))
