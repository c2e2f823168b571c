"""The position of a staged run in its checkpoints, and resuming there."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..utils.errors import Refusal
from .atomic_checkpoint_hook import is_staged, source_of


@HOOKS.register_module()
class StageSwitchHook(Hook):
    """Keep the position of a ``StagedTrainLoop``, which brings this hook, in checkpoints."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Refuse another loop, which would train one stage or none."""
        if not is_staged(runner):
            raise Refusal(
                f'{type(runner.train_loop).__name__} does not go through the stages of the config: '
                "set train_cfg=dict(_delete_=True, type='StagedTrainLoop')"
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note the position of the run in the plan, and its files."""
        loop: Any = runner.train_loop
        name = loop.plan.specs[loop.current].name
        checkpoint['meta']['stage'] = dict(index=loop.current, name=name, files=loop.files)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Enter the stage that a resumed checkpoint was saved in."""
        if source_of(runner) is None or not is_staged(runner):
            return
        loop: Any = runner.train_loop
        saved = checkpoint.get('meta', {}).get('stage')
        if saved is None:
            raise Refusal('this checkpoint cannot be resumed: it was not saved by a staged run')
        names, index = [spec.name for spec in loop.plan.specs], saved['index']
        if names[index : index + 1] != [saved['name']]:
            raise Refusal(
                f'the checkpoint was saved in stage {index} ({saved["name"]}), but the config '
                f'has the stages {names}: resume with the config it was trained with'
            )
        loop.files = dict(saved.get('files', {}))
        loop.enter(index, resumed=True)
        loop.check_files()
