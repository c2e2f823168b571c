"""Going from one training stage to the next inside MMEngine's Runner."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS
from torch import Tensor

from ..utils.errors import Refusal
from ..utils.files import read_json
from ..utils.io import write_json
from .check_classes_hook import check_classes
from .global_batches import images_each, keep_whole_batches
from .stage_plan import StagePlan, StageSpec
from .stage_settings import check_settings
from .stage_snapshots import put_back, take_snapshot
from .validation_metrics import ValidationMetrics
from .weights_file import bare, save_weights

_SNAPSHOTS = 'stage_snapshots'


def _change_pipeline(dataset: Any, change: Callable[[Any], Any]) -> None:
    """Change the pipeline in a data set's config, inside wrappers such as ClassBalancedDataset."""
    parts = dataset.get('datasets') or [dataset.dataset] if 'pipeline' not in dataset else []
    if not parts:
        dataset.pipeline = change(dataset.pipeline)
    for part in parts:
        _change_pipeline(part, change)


@HOOKS.register_module()
class StageSwitchHook(ValidationMetrics):
    """Run the stages of a list one after another in one training run.

    On entering a stage it sets the stage of the model (``CAMSegmentor.set_stage``), restores
    earlier weights of modules (``restore``), and builds the stage's loader, optimizer and schedule.
    On leaving it saves the weights and adds a line to ``stages.json``. Epochs are counted through
    all stages. Checkpoints contain the stage and the weights to be restored later, so a run can be
    resumed in any stage. Validation runs at the end of every stage and every ``val_interval``.

    Use it with ``train_cfg=dict(type='StagedTrainLoop')``. A ``batch_size`` of the training loader
    is for stages without one.

    Args:
        stages: See ``StagePlan``; ``None`` takes ``stages`` at the top level of the config.

    Attributes:
        current: Position of the present stage; ``None`` before the first and after the last.
    """

    priority = 'VERY_HIGH'

    def __init__(self, stages: Sequence[Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        self._stages = stages
        self.current: int | None = None
        self._snapshots: dict[str, dict[str, Tensor]] = {}

    def before_run(self, runner: Runner) -> None:
        """Check the plan against model and data, and set the length of the run.

        Raises:
            ValueError: If a stage cannot be run, or its settings name an unknown type, key or
                module.
        """
        loop: Any = runner._train_loop
        if not isinstance(loop, BaseLoop):
            return  # testing
        stages = self._stages if self._stages is not None else runner.cfg.get('stages')
        self.plan = StagePlan(stages)
        model, dataset = bare(runner.model), loop.dataloader.dataset
        check_classes(model, dataset)
        self._base_loader = loop.dataloader
        config = runner.cfg.get('train_dataloader') or {}
        self._loader_has_batch_size = 'batch_size' in config
        if 'batch_size' in config and all(spec.batch_size for spec in self.plan.specs):
            runner.logger.warning(
                f'train_dataloader.batch_size={config["batch_size"]} has no effect: every stage '
                'has its own, stages.N.batch_size'
            )
        self._val_interval = loop.val_interval
        steps = [spec.epochs * self._steps_per_epoch(spec, runner) for spec in self.plan.specs]
        for index, spec in enumerate(self.plan.specs):
            check_settings(runner.cfg, spec, f'stages.{index} ({spec.name})')
            model.set_stage(spec.stage)  # refuses what the model cannot do, before any work
            for key, modules in (('restore', spec.restore), ('keeps', spec.keeps)):
                for module in modules:
                    if module not in dict(model.named_modules()):
                        raise Refusal(
                            f'stage {spec.name!r}: {key} names {module!r}, but the model has no '
                            f'such module; it has {[name for name, _ in model.named_children()]}'
                        )
        loop._max_epochs = self.plan.total_epochs
        loop._max_iters = sum(steps)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Go to the stage that a resumed checkpoint was saved in."""
        if not isinstance(runner._train_loop, BaseLoop):
            return
        self._snapshots.update(checkpoint.get(_SNAPSHOTS, {}))
        saved = checkpoint.get('meta', {}).get('stage')
        if not runner._resume:
            return
        if saved is None:
            raise Refusal('this checkpoint cannot be resumed: it was not saved by a staged run')
        names = [spec.name for spec in self.plan.specs]
        if saved['index'] >= len(names) or names[saved['index']] != saved['name']:
            raise Refusal(
                f'the checkpoint was saved in stage {saved["index"]} ({saved["name"]}), but the '
                f'config has the stages {names}: resume with the config it was trained with'
            )
        self._enter(runner, saved['index'], resumed=True)

    def before_train(self, runner: Runner) -> None:
        """Refuse a stage that restores weights which are not available."""
        begun = 0 if self.current is None else self.current + 1  # of a resumed run
        for index, spec in enumerate(self.plan.specs):
            earlier = {other.name for other in self.plan.specs[begun:index]}
            for module, source in spec.restore.items():
                if source not in earlier and f'{module}@{source}' not in self._snapshots:
                    raise Refusal(
                        f'stage {spec.name!r} restores {module} as it was on entering {source!r}, '
                        f'but {source!r} does not begin before it in this run, and the checkpoint '
                        'loaded (load_from, --resume) does not have these weights'
                    )

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch stages where one ends and the next begins."""
        index = self.plan.index_at(runner.epoch)
        if index != self.current:
            self._leave(runner)
            self._enter(runner, index)

    def after_train_epoch(self, runner: Runner) -> None:
        """Make the loop validate at the end of a stage."""
        ends = self.plan.ends_stage(runner.epoch + 1)
        # The loop reads its interval from here right after this epoch.
        runner.train_loop.dynamic_milestones = []
        runner.train_loop.dynamic_intervals = [1 if ends else self._val_interval]

    def after_train(self, runner: Runner) -> None:
        """Leave the last stage."""
        self._leave(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Store the position of the run in the plan."""
        if self.current is None:
            return
        checkpoint['meta']['stage'] = dict(
            index=self.current, name=self.plan.specs[self.current].name
        )
        checkpoint[_SNAPSHOTS] = self._snapshots

    def _batch_size(self, spec: StageSpec) -> int | None:
        """Batch size of one process."""
        if spec.batch_size is None:
            if not self._loader_has_batch_size:
                raise Refusal(
                    f'stage {spec.name!r} has no batch_size, and neither has train_dataloader'
                )
            return self._base_loader.batch_size
        each, rest = divmod(spec.batch_size, get_world_size())
        if rest:
            raise Refusal(
                f'stage {spec.name!r}: batch_size {spec.batch_size} is that of all processes '
                f'together and does not divide by {get_world_size()}'
            )
        return each

    def _steps_per_epoch(self, spec: StageSpec, runner: Runner) -> int:
        each = self._batch_size(spec) or 1
        images = images_each(self._base_loader)
        steps = images // each if self._base_loader.drop_last else -(-images // each)
        if steps == 0:
            raise Refusal(
                f'stage {spec.name!r}: a batch of {each} images is more than the {images} there '
                'are, and the last incomplete batch is dropped: lower batch_size'
            )
        return steps

    def _enter(self, runner: Runner, index: int, resumed: bool = False) -> None:
        spec = self.plan.specs[index]
        model = bare(runner.model)
        self.current = index
        model.set_stage(spec.stage)
        if not resumed:
            for module in self.plan.snapshots_at(index):
                until = self.plan.stages_until_wanted(module, index)
                trained = {path for stage in until for path in model.trained_by(stage)}
                self._snapshots[f'{module}@{spec.name}'] = take_snapshot(model, module, trained)
            for module, source in spec.restore.items():
                put_back(model, self._snapshots[f'{module}@{source}'])
                runner.logger.info(
                    f'stage {spec.name}: {module} gets back its weights of the start of {source}'
                )
        if is_model_wrapper(runner.model):
            # A distributed wrapper handles only the parameters that trained when it was made.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        loop: Any = runner.train_loop
        loop.dataloader = self._build_loader(runner, spec)
        runner.optim_wrapper = runner.build_optim_wrapper(spec.optimizer_config(runner.cfg))
        schedulers = spec.schedulers_config(runner.cfg)
        runner.param_schedulers = schedulers and runner.build_param_scheduler(schedulers)
        runner.optim_wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)
        self._announce(runner, index)

    def _build_loader(self, runner: Runner, spec: StageSpec) -> Any:
        loader = self._base_loader
        if spec.train_pipeline is not None or spec.batch_size is not None:
            config = copy.deepcopy(runner.cfg.train_dataloader)
            if spec.train_pipeline is not None:
                _change_pipeline(config.dataset, lambda _: spec.train_pipeline)
            config.batch_size = self._batch_size(spec)
            config.setdefault('pin_memory', torch.cuda.is_available())
            different = runner._randomness_cfg.get('diff_rank_seed', False)
            loader = runner.build_dataloader(config, seed=runner.seed, diff_rank_seed=different)
        keep_whole_batches(loader)
        return loader

    def settings(self, runner: Runner) -> list[dict[str, Any]]:
        """Settings of each stage that a checkpoint fixes: length, steps, optimizer and schedule."""
        return [
            dict(
                name=spec.name,
                epochs=spec.epochs,
                batch_size=spec.batch_size or self._base_loader.batch_size * get_world_size(),
                steps_per_epoch=self._steps_per_epoch(spec, runner),
                losses=spec.stage.losses,
                trains=bare(runner.model).trained_by(spec.stage),
                restore=spec.restore,
                optim_wrapper=spec.optimizer_config(runner.cfg),
                param_scheduler=spec.schedulers_config(runner.cfg),
            )
            for spec in self.plan.specs
        ]

    def _announce(self, runner: Runner, index: int) -> None:
        spec, model = self.plan.specs[index], bare(runner.model)
        start = self.plan.start_of(index)
        trained = {
            path: sum(p.numel() for p in model.get_submodule(path).parameters())
            for path in model.trained_by(spec.stage)
        }
        frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
        runner.message_hub.update_info('stage', spec.name)
        self._forget_scalars(runner)
        runner.logger.info(
            f'stage {spec.name} ({index + 1}/{len(self.plan)}): epochs {start + 1} to '
            f'{self.plan.ends[index]}, losses {", ".join(spec.stage.losses)}; '
            f'trainable {sum(trained.values()):,} parameters ('
            + ', '.join(f'{path} {count:,}' for path, count in trained.items())
            + f'), frozen {frozen:,}, and {model.num_frozen_outside():,} of CLIP'
        )

    @staticmethod
    def _forget_scalars(runner: Runner) -> None:
        """Drop smoothed losses and rates of the stage before, so that they are not logged."""
        scalars = runner.message_hub.log_scalars
        for key in [key for key in scalars if key.startswith('train/') and 'time' not in key]:
            del scalars[key]

    def _leave(self, runner: Runner) -> None:
        """Save the weights of the stage that ends, and its record."""
        if self.current is None:
            return
        metrics = self.metrics_of_weights(runner)
        index, spec = self.current, self.plan.specs[self.current]
        name = self.plan.file_name(index)
        save_weights(runner, name)
        if is_main_process():
            path = Path(runner.work_dir) / 'stages.json'
            records = read_json(path)[:index] if path.exists() else []
            entry = dict(stage=spec.name, epochs=spec.epochs, checkpoint=name)
            write_json(path, [*records, dict(entry, metrics=metrics)])
        runner.logger.info(f'stage {spec.name}: weights saved as {name}')
        self._metrics = {}
        self.current = None
