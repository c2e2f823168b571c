"""The stages of a run, one after another: their checks, entering and ending each, its files."""

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, EMAHook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from ..utils.errors import Missing, Refusal
from ..utils.files import file_digest, read_json
from ..utils.io import write_json
from ..utils.linter import lint
from ..weights import load_weights, resolve
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .check_classes_hook import CheckClassesHook, check_classes
from .epoch_seed_hook import EpochSeedHook
from .finite_step_hook import FiniteStepHook
from .processes import keep_whole_batches, steps_of_epoch
from .stage_plan import START, StagePlan, StageSpec
from .stage_switch_hook import StageSwitchHook
from .weights_file import bare, save_tensors, save_weights


@LOOPS.register_module()
class StagedTrainLoop(EpochBasedTrainLoop):
    """Train through the ``stages`` of the config; see ``StagePlan``.

    The loop brings the hooks that it needs and the config lacks. Epochs are counted through all
    stages. At the end of each the loop validates, saves the weights and adds a line to
    ``stages.json``. Modules that a later stage starts again (``restore``) are read from the file of
    an earlier stage, or from ``start.pth``, the weights before the first step.

    Args:
        runner: The runner; its config has ``stages``.
        dataloader: Config of the training loader; its ``batch_size`` is for stages without one.
        val_interval: Epochs between two validations; one more is at the end of each stage.

    Attributes:
        plan: The stages.
        current: Position of the present stage; None before the first.
        files: Digests of the files of weights that this run has written, by name.

    Raises:
        Refusal: If the model or the data set cannot do a stage, or a setting has no effect.
    """

    def __init__(self, runner: Runner, dataloader: Any, val_interval: int = 1) -> None:
        _refuse_settings(runner)
        lint(runner.cfg)
        self.plan = StagePlan(runner.cfg.get('stages'))
        super().__init__(runner, dataloader, self.plan.ends[-1], val_interval=val_interval)
        self.current: int | None = None
        self.files: dict[str, str] = {}
        self._check(bare(runner.model))
        _bring_hooks(runner)

    @property
    def max_iters(self) -> int:
        """Steps of all stages."""
        return sum(spec.epochs * self._steps(spec) for spec in self.plan.specs)

    def run(self) -> Any:
        """Train all stages, or what is left of them."""
        self.runner.call_hook('before_train')
        if self.current is None:
            self._save_start()
        elif self.epoch == self.plan.ends[self.current]:
            self._end_stage()  # killed between its last checkpoint and its end
        while self.epoch < self.max_epochs:
            index = self.plan.index_at(self.epoch)
            if index != self.current:
                self.enter(index)
            self.run_epoch()
            if self.epoch in self.plan.ends:
                self._end_stage()
            elif self.epoch % self.val_interval == 0:
                self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def enter(self, index: int, resumed: bool = False) -> None:
        """Enter a stage; its weights may come from a checkpoint of it already (``resumed``)."""
        runner, spec, model = self.runner, self.plan.specs[index], bare(self.runner.model)
        self.current = index
        model.set_stage(spec.stage)
        if not resumed:
            own = self.plan.own_files(index)
            for module, source in spec.restore.items():
                path = str(self._path(own[module])) if module in own else source
                runner.logger.info(f'stage {spec.name}: {module} starts again from {path}')
                load_weights(model.get_submodule(module), path, module)
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.ema_model.steps.zero_()  # averages start again with each stage
        if is_model_wrapper(runner.model):
            # A distributed wrapper handles only the parameters that trained when it was made.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        self.dataloader = self._loader(spec)
        runner.optim_wrapper = runner.build_optim_wrapper(spec.optimizer_config(runner.cfg))
        schedulers = spec.schedulers_config(runner.cfg)
        runner.param_schedulers = schedulers and runner.build_param_scheduler(schedulers)
        runner.optim_wrapper.initialize_count_status(runner.model, self.iter, self.max_iters)
        runner.message_hub.update_info('stage', spec.name)
        # Smoothed losses and rates of the stage before are not logged for this one.
        scalars = runner.message_hub.log_scalars
        for key in [key for key in scalars if key.startswith('train/') and 'time' not in key]:
            del scalars[key]
        number = sum(p.numel() for p in model.parameters() if p.requires_grad)
        runner.logger.info(
            f'stage {spec.name} up to epoch {self.plan.ends[index]}: losses '
            f'{", ".join(spec.stage.losses)}; trains {", ".join(model.trained_by(spec.stage))}, '
            f'{number:,} parameters'
        )

    def check_files(self) -> None:
        """Refuse to resume if a file that a later stage reads is not the one that the run wrote."""
        assert self.current is not None
        later = range(self.current + 1, len(self.plan.specs))
        not_yet = {self.plan.file_name(index) for index in (self.current, *later)}
        for index in later:
            for module, name in self.plan.own_files(index).items():
                path = self._path(name)
                there = path.is_file() and file_digest(path) == self.files.get(name)
                if not there and name not in not_yet:
                    raise Refusal(
                        f'{path}, from which a later stage starts, is missing or is not what this '
                        'run wrote: copy it there from where the run began, or name another file, '
                        f'stages.{index}.restore.{module}=FILE'
                    )

    def settings(self) -> list[dict[str, Any]]:
        """Settings of each stage that a checkpoint fixes: length, steps, optimizer and schedule."""
        return [
            dict(
                vars(spec),
                stage=vars(spec.stage),
                train_pipeline=None,
                batch_size=self._images_each(spec) * get_world_size(),
                steps_per_epoch=self._steps(spec),
                optim_wrapper=spec.optimizer_config(self.runner.cfg),
                param_scheduler=spec.schedulers_config(self.runner.cfg),
            )
            for spec in self.plan.specs
        ]

    def _path(self, name: str) -> Path:
        return Path(self.runner.work_dir, name)

    def _images_each(self, spec: StageSpec) -> int:
        """Images of a step of one process."""
        if spec.batch_size is None:
            return self.runner.cfg.train_dataloader.get('batch_size', 1)
        each, rest = divmod(spec.batch_size, get_world_size())
        if rest:
            raise Refusal(
                f'stage {spec.name!r}: batch_size {spec.batch_size} is that of all processes '
                f'together and does not divide by {get_world_size()}'
            )
        return each

    def _steps(self, spec: StageSpec) -> int:
        """Steps of an epoch."""
        each = self._images_each(spec)
        steps = steps_of_epoch(self.dataloader, each)
        if steps == 0:
            raise Refusal(
                f'stage {spec.name!r}: there are fewer images than a batch of {each} in each '
                'process, and the last incomplete batch is dropped: lower batch_size'
            )
        return steps

    def _loader(self, spec: StageSpec) -> DataLoader:
        """The training loader with a stage's pipeline and batch size."""
        runner, config = self.runner, copy.deepcopy(self.runner.cfg.train_dataloader)
        if spec.train_pipeline is not None:
            _set_pipeline(config.dataset, spec.train_pipeline)
        config.batch_size = self._images_each(spec)
        config.setdefault('pin_memory', torch.cuda.is_available())
        different = runner.cfg.get('randomness', {}).get('diff_rank_seed', False)
        loader = runner.build_dataloader(config, seed=runner.seed, diff_rank_seed=different)
        keep_whole_batches(loader)
        return loader

    def _check(self, model: Any) -> None:
        """Refuse, before any work, what the model or the data set cannot do."""
        dataset: Any = self.dataloader.dataset
        check_classes(model, dataset.metainfo)
        given = self.runner.cfg.train_dataloader.get('batch_size')
        if given is not None and all(spec.batch_size for spec in self.plan.specs):
            self.runner.logger.warning(
                f'train_dataloader.batch_size={given} has no effect: every stage has its own, '
                'stages.N.batch_size'
            )
        for index, spec in enumerate(self.plan.specs):
            self._steps(spec)
            spec.schedulers_config(self.runner.cfg)
            model.set_stage(spec.stage)
            for module, source in spec.restore.items():
                where = f'stages.{index}.restore.{module}'
                if module not in dict(model.named_modules()):
                    parts = ', '.join(name for name, _ in model.named_children())
                    raise Refusal(f'{where}: the model has no such module; it has {parts}')
                if module not in self.plan.own_files(index) and '://' not in source:
                    try:
                        resolve(source)
                    except Missing as error:
                        raise Refusal(
                            f'{where}={source} is no earlier stage of this run, and {error}'
                        ) from error

    def _save_start(self) -> None:
        """Write the weights before the first step of the modules that start from them again."""
        read = [self.plan.own_files(index) for index in range(len(self.plan.specs))]
        prefixes = tuple(f'{m}.' for files in read for m in files if files[m] == START)
        if prefixes:
            tensors = bare(self.runner.model).state_dict()
            tensors = {key: tensors[key] for key in tensors if key.startswith(prefixes)}
            self.files[START] = save_tensors(self.runner, dict(state_dict=tensors), START)

    def _validate(self) -> dict[str, float]:
        """Metrics on the validation images, if there are any."""
        loop = self.runner.val_loop
        return {} if loop is None else {k: float(v) for k, v in (loop.run() or {}).items()}

    def _end_stage(self) -> None:
        """Validate, and save the weights and a record of the stage that ends."""
        assert self.current is not None
        metrics = self._validate()
        spec, name = self.plan.specs[self.current], self.plan.file_name(self.current)
        self.files[name] = save_weights(self.runner, name)
        if is_main_process():
            path = self._path('stages.json')
            records = read_json(path)[: self.current] if path.exists() else []
            record = dict(stage=spec.name, epochs=spec.epochs, checkpoint=name, metrics=metrics)
            write_json(path, [*records, record])
        self.runner.logger.info(f'stage {spec.name}: weights saved as {name}')


def _set_pipeline(dataset: Any, pipeline: Any) -> None:
    """Replace the pipeline in a data set's config, inside wrappers such as ConcatDataset too."""
    if 'pipeline' in dataset:
        dataset.pipeline = pipeline
        return
    for part in dataset.get('datasets') or [dataset.dataset]:
        _set_pipeline(part, pipeline)


def _bring_hooks(runner: Runner) -> None:
    """Register hooks that promises rest on, where a config's lists do not have them."""
    for kind in (StageSwitchHook, EpochSeedHook, FiniteStepHook, CheckClassesHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
    given = (runner.cfg.get('default_hooks') or {}).get('checkpoint') or {}
    for hook in list(runner.hooks):
        if isinstance(hook, CheckpointHook) and not isinstance(hook, AtomicCheckpointHook):
            runner.hooks.remove(hook)
            runner.register_hook(dict(dict(interval=1) | given, type='AtomicCheckpointHook'))


def _refuse_settings(runner: Runner) -> None:
    """Refuse settings that have no effect, or another one, in a run of stages."""
    if 'runner_type' in runner.cfg:
        raise Refusal("stages need MMEngine's Runner: take runner_type out of the config")
    if runner.cfg.get('compile'):
        raise Refusal('compile keeps what trains in the first stage: set compile=False')
    if (runner.cfg.get('auto_scale_lr') or {}).get('enable'):
        raise Refusal(
            'auto_scale_lr has no effect in a run of stages, each of which has its own batch size: '
            'set stages.N.optim_wrapper.optimizer.lr'
        )
    if any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks):
        raise Refusal(
            'EarlyStoppingHook is refused in a run of stages, because it would end all of them: '
            'take it out of custom_hooks and set stages.N.epochs'
        )
