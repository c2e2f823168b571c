"""Entering a stage of a run."""

import copy
from typing import Any

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

from ..utils.errors import Refusal
from ..weights import load_weights
from .global_batches import keep_whole_batches
from .resume import is_staged, source_of
from .stage_plan import StageSpec
from .weights_file import bare


@HOOKS.register_module()
class StageSwitchHook(Hook):
    """Enter each stage of ``StagedTrainLoop``, which brings this hook if a config has none.

    On entering a stage it sets the stage of the model (``CAMSegmentor.set_stage``), starts modules
    again from files (``restore``), and builds the stage's loader, optimizer and schedule.
    Checkpoints contain the stage and the digests of those files, so a run can be resumed in any
    stage.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Refuse another loop, which would train one stage or none."""
        if not is_staged(runner):
            raise Refusal(
                f'{type(runner.train_loop).__name__} does not go through the stages of the config: '
                "set train_cfg=dict(_delete_=True, type='StagedTrainLoop')"
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the stage that begins."""
        loop: Any = runner.train_loop
        index = loop.plan.index_at(loop.epoch)
        if index != loop.current:
            self.enter(runner, index)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note the position of the run in the plan, and its files."""
        loop: Any = runner.train_loop
        name = loop.plan.specs[loop.current].name
        checkpoint['meta']['stage'] = dict(index=loop.current, name=name, files=loop.files)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Enter the stage that a resumed checkpoint was saved in.

        Raises:
            Refusal: If there is no such stage in this run, or a file that a later stage reads is
                not the one that the run wrote.
        """
        if source_of(runner) is None or not is_staged(runner):
            return
        loop: Any = runner.train_loop
        saved = checkpoint.get('meta', {}).get('stage')
        if saved is None:
            raise Refusal('this checkpoint cannot be resumed: it was not saved by a staged run')
        names = [spec.name for spec in loop.plan.specs]
        if names[saved['index'] : saved['index'] + 1] != [saved['name']]:
            raise Refusal(
                f'the checkpoint was saved in stage {saved["index"]} ({saved["name"]}), but the '
                f'config has the stages {names}: resume with the config it was trained with'
            )
        loop.files = dict(saved.get('files', {}))
        self.enter(runner, saved['index'], resumed=True)
        loop.check_files()

    def enter(self, runner: Runner, index: int, resumed: bool = False) -> None:
        """Enter a stage.

        Args:
            runner: The runner.
            index: Position of the stage.
            resumed: Whether the weights come from a checkpoint of this stage already.
        """
        loop: Any = runner.train_loop
        loop.current = index
        spec, model = loop.plan.specs[index], bare(runner.model)
        model.set_stage(spec.stage)
        if not resumed:
            for module, path in loop.restored(index).items():
                runner.logger.info(f'stage {spec.name}: {module} starts again from {path}')
                load_weights(model.get_submodule(module), path, module)
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.ema_model.steps.zero_()  # averages start again with each stage
        if is_model_wrapper(runner.model):
            # A distributed wrapper handles only the parameters that trained when it was made.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        loop.dataloader = _loader(runner, spec)
        runner.optim_wrapper = runner.build_optim_wrapper(spec.optimizer_config(runner.cfg))
        schedulers = spec.schedulers_config(runner.cfg)
        runner.param_schedulers = schedulers and runner.build_param_scheduler(schedulers)
        runner.optim_wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)
        runner.message_hub.update_info('stage', spec.name)
        # Smoothed losses and rates of the stage before are not logged for this one.
        scalars = runner.message_hub.log_scalars
        for key in [key for key in scalars if key.startswith('train/') and 'time' not in key]:
            del scalars[key]
        _announce(runner, index)


def _loader(runner: Runner, spec: StageSpec) -> DataLoader:
    """The training loader with a stage's pipeline and batch size."""
    loop: Any = runner.train_loop
    loader = loop.given_loader
    if spec.train_pipeline is not None or spec.batch_size is not None:
        config = copy.deepcopy(runner.cfg.train_dataloader)
        if spec.train_pipeline is not None:
            _set_pipeline(config.dataset, spec.train_pipeline)
        config.batch_size = loop.batch_size(spec)
        config.setdefault('pin_memory', torch.cuda.is_available())
        different = runner.cfg.get('randomness', {}).get('diff_rank_seed', False)
        loader = runner.build_dataloader(config, seed=runner.seed, diff_rank_seed=different)
    keep_whole_batches(loader)
    return loader


def _set_pipeline(dataset: Any, pipeline: Any) -> None:
    """Replace the pipeline in a data set's config, inside wrappers such as ConcatDataset too."""
    if 'pipeline' in dataset:
        dataset.pipeline = pipeline
        return
    for part in dataset.get('datasets') or [dataset.dataset]:
        _set_pipeline(part, pipeline)


def _announce(runner: Runner, index: int) -> None:
    loop: Any = runner.train_loop
    plan, model = loop.plan, bare(runner.model)
    spec, end = plan.specs[index], plan.ends[index]
    trained = {
        path: sum(p.numel() for p in model.get_submodule(path).parameters())
        for path in model.trained_by(spec.stage)
    }
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    runner.logger.info(
        f'stage {spec.name} ({index + 1}/{len(plan.specs)}): epochs {end - spec.epochs + 1} to '
        f'{end}, losses {", ".join(spec.stage.losses)}; trainable {sum(trained.values()):,} '
        f'parameters ({", ".join(f"{path} {count:,}" for path, count in trained.items())}), '
        f'frozen {frozen:,}, and all of CLIP'
    )
