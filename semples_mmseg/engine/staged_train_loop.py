"""Epochs of a staged run."""

from typing import Any

from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import LOOPS

from ..utils.errors import Refusal
from .stage_plan import StagePlan


@LOOPS.register_module()
class StagedTrainLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs, for the epochs of all ``stages`` of the config.

    Args:
        runner: The runner; its config has ``stages``.
        dataloader: The training loader or its config.
        val_interval: Epochs between two validations; ``StageSwitchHook`` adds one at the end
            of each stage.
        max_epochs: Refused: the length of a stage is its ``epochs``.

    Raises:
        ValueError: If ``max_epochs``, or the config's ``compile`` or ``auto_scale_lr`` is given, or
            the stages cannot be read.
    """

    def __init__(
        self, runner: Runner, dataloader: Any, val_interval: int = 1, max_epochs: int | None = None
    ) -> None:
        if max_epochs is not None:
            raise Refusal(
                'train_cfg.max_epochs has no effect in a run of stages: set stages.0.epochs and '
                'those of the other stages'
            )
        if runner.cfg.get('compile'):
            raise Refusal(
                'compile is refused in a run of stages: MMEngine compiles the whole training step, '
                'again for every image path in it, and keeps the compiled step when the next '
                'stage trains other modules: set compile=False'
            )
        if (runner.cfg.get('auto_scale_lr') or {}).get('enable'):
            raise Refusal(
                'auto_scale_lr has no effect in a run of stages, each of which has its own batch '
                'size: set stages.0.optim_wrapper.optimizer.lr and those of the other stages'
            )
        length = StagePlan(runner.cfg.get('stages')).total_epochs
        super().__init__(runner, dataloader, length, val_interval=val_interval)
