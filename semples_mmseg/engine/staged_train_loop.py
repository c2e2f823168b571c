"""The stages of a run, one after another: the plan, its checks, and the files that stages leave."""

from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import LOOPS

from ..utils.errors import Missing, Refusal
from ..utils.files import file_digest, read_json
from ..utils.io import write_json
from ..utils.linter import lint
from ..weights import resolve
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .check_classes_hook import CheckClassesHook, check_classes
from .epoch_seed_hook import EpochSeedHook
from .finite_step_hook import FiniteStepHook
from .global_batches import images_each
from .stage_plan import START, StagePlan, StageSpec
from .stage_switch_hook import StageSwitchHook
from .weights_file import bare, save_tensors, save_weights


@LOOPS.register_module()
class StagedTrainLoop(EpochBasedTrainLoop):
    """Train through the ``stages`` of the config; see ``StagePlan``.

    The loop brings the hooks that it needs and the config lacks: ``StageSwitchHook``, which enters
    each stage, and those of seeds, checkpoints and finite steps. Epochs are counted through all
    stages. At the end of a stage the loop validates, saves the weights and adds a line to
    ``stages.json``. A module that a later stage starts again (``restore``) is read from the file of
    an earlier stage, or from ``start.pth``, the weights before the first step.

    A ``batch_size`` of the training loader is for stages without one.

    Args:
        runner: The runner; its config has ``stages``.
        dataloader: The training loader or its config.
        val_interval: Epochs between two validations; one more is at the end of each stage.
        max_epochs: Refused: the length of a stage is its ``epochs``.

    Attributes:
        plan: The stages.
        given_loader: The training loader of the config.
        current: Position of the present stage; None before the first.
        files: Digests of the files of weights that this run has written, by name.

    Raises:
        Refusal: If the model or the data set cannot do a stage, or a setting has no effect in a
            run of stages.
    """

    def __init__(
        self, runner: Runner, dataloader: Any, val_interval: int = 1, max_epochs: int | None = None
    ) -> None:
        _refuse_settings(runner, max_epochs)
        lint(runner.cfg)
        self.plan = StagePlan(runner.cfg.get('stages'))
        super().__init__(runner, dataloader, self.plan.ends[-1], val_interval=val_interval)
        self.given_loader = self.dataloader
        self.current: int | None = None
        self.files: dict[str, str] = {}
        self._check(bare(runner.model))
        self._steps = sum(spec.epochs * self.steps_per_epoch(spec) for spec in self.plan.specs)
        _bring_hooks(runner)

    @property
    def max_iters(self) -> int:
        """Steps of all stages."""
        return self._steps

    def run(self) -> Any:
        """Train all stages, or what is left of them."""
        self.runner.call_hook('before_train')
        if self.current is None:
            self._save_start()
        elif self.epoch == self.plan.ends[self.current]:
            self._end_stage()  # killed between its last checkpoint and its end
        while self.epoch < self.max_epochs:
            self.run_epoch()
            if self.epoch in self.plan.ends:
                self._end_stage()
            elif self.epoch % self.val_interval == 0:
                self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def restored(self, index: int) -> dict[str, str]:
        """The file that each module a stage starts again is read from, by the module's path."""
        own = self.plan.own_files(index)
        own = {module: str(Path(self.runner.work_dir) / name) for module, name in own.items()}
        return {**self.plan.specs[index].restore, **own}

    def check_files(self) -> None:
        """Check the files that stages to come read, in a resumed run.

        Raises:
            Refusal: If one is missing, or is not the one that the run wrote.
        """
        assert self.current is not None
        to_come = range(self.current + 1, len(self.plan.specs))
        not_yet = {self.plan.file_name(index) for index in (self.current, *to_come)}
        for index in to_come:
            for module, name in self.plan.own_files(index).items():
                path = Path(self.runner.work_dir) / name
                there = path.is_file() and file_digest(path) == self.files.get(name)
                if not there and name not in not_yet:
                    raise Refusal(
                        f'stage {self.plan.specs[index].name!r} starts {module} again from {path}, '
                        'which is missing or is not what this run wrote: copy it there from where '
                        f'the run began, or name another file, stages.{index}.restore.{module}=FILE'
                    )

    def batch_size(self, spec: StageSpec) -> int:
        """Images of a step of one process.

        Raises:
            Refusal: If there is none, or the processes cannot share it.
        """
        if spec.batch_size is None:
            if 'batch_size' not in (self.runner.cfg.get('train_dataloader') or {}):
                raise Refusal(
                    f'stage {spec.name!r} has no batch_size, and neither has train_dataloader'
                )
            return self.given_loader.batch_size or 1
        each, rest = divmod(spec.batch_size, get_world_size())
        if rest:
            raise Refusal(
                f'stage {spec.name!r}: batch_size {spec.batch_size} is that of all processes '
                f'together and does not divide by {get_world_size()}'
            )
        return each

    def steps_per_epoch(self, spec: StageSpec) -> int:
        """Steps of an epoch.

        Raises:
            Refusal: If there are fewer images than a batch has.
        """
        each, images = self.batch_size(spec), images_each(self.given_loader)
        steps = images // each if self.given_loader.drop_last else -(-images // each)
        if steps == 0:
            raise Refusal(
                f'stage {spec.name!r}: a batch of {each} images is more than the {images} there '
                'are, and the last incomplete batch is dropped: lower batch_size'
            )
        return steps

    def settings(self) -> list[dict[str, Any]]:
        """Settings of each stage that a checkpoint fixes: length, steps, optimizer and schedule."""
        model = bare(self.runner.model)
        return [
            dict(
                name=spec.name,
                epochs=spec.epochs,
                batch_size=self.batch_size(spec) * get_world_size(),
                steps_per_epoch=self.steps_per_epoch(spec),
                losses=spec.stage.losses,
                trains=model.trained_by(spec.stage),
                restore=spec.restore,
                optim_wrapper=spec.optimizer_config(self.runner.cfg),
                param_scheduler=spec.schedulers_config(self.runner.cfg),
            )
            for spec in self.plan.specs
        ]

    def _check(self, model: Any) -> None:
        check_classes(model, self.given_loader.dataset)
        given = (self.runner.cfg.get('train_dataloader') or {}).get('batch_size')
        if given is not None and all(spec.batch_size for spec in self.plan.specs):
            self.runner.logger.warning(
                f'train_dataloader.batch_size={given} has no effect: every stage has its own, '
                'stages.N.batch_size'
            )
        for index, spec in enumerate(self.plan.specs):
            self.steps_per_epoch(spec)
            model.set_stage(spec.stage)  # refuses what the model cannot do, before any work
            for module, source in spec.restore.items():
                where = f'stages.{index}.restore.{module}'
                if module not in dict(model.named_modules()):
                    raise Refusal(
                        f'{where}: the model has no such module; it has '
                        f'{", ".join(name for name, _ in model.named_children())}'
                    )
                if module not in self.plan.own_files(index) and '://' not in source:
                    try:
                        resolve(source)
                    except Missing as error:
                        raise Refusal(
                            f'{where}={source} is neither an earlier stage of this run nor a file: '
                            'name the file of weights that this stage starts from'
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
        index, spec = self.current, self.plan.specs[self.current]
        name, folder = self.plan.file_name(index), Path(self.runner.work_dir)
        self.files[name] = save_weights(self.runner, name)
        if is_main_process():
            path = folder / 'stages.json'
            records = read_json(path)[:index] if path.exists() else []
            entry = dict(stage=spec.name, epochs=spec.epochs, checkpoint=name, metrics=metrics)
            write_json(path, [*records, entry])
        self.runner.logger.info(f'stage {spec.name}: weights saved as {name}')


def _bring_hooks(runner: Runner) -> None:
    """Register hooks that promises rest on, where a config's lists do not have them."""
    for kind in (StageSwitchHook, EpochSeedHook, FiniteStepHook, CheckClassesHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
            runner.logger.info(f'{kind.__name__} is added, because stages need it')
    for hook in list(runner.hooks):
        if isinstance(hook, CheckpointHook) and not isinstance(hook, AtomicCheckpointHook):
            given = (runner.cfg.get('default_hooks') or {}).get('checkpoint') or {}
            options = {key: value for key, value in given.items() if key != 'type'}
            runner.hooks.remove(hook)
            runner.register_hook(AtomicCheckpointHook(**dict(interval=1) | options))
            runner.logger.info('AtomicCheckpointHook takes the place of CheckpointHook')


def _refuse_settings(runner: Runner, max_epochs: int | None) -> None:
    """Refuse settings that have no effect, or another one, in a run of stages."""
    if max_epochs is not None:
        raise Refusal(
            'train_cfg.max_epochs has no effect in a run of stages: set stages.0.epochs and those '
            'of the other stages'
        )
    if runner.cfg.get('compile'):
        raise Refusal(
            'compile is refused in a run of stages: MMEngine compiles the whole training step, '
            'again for every image path in it, and keeps the compiled step when the next stage '
            'trains other modules: set compile=False'
        )
    if (runner.cfg.get('auto_scale_lr') or {}).get('enable'):
        raise Refusal(
            'auto_scale_lr has no effect in a run of stages, each of which has its own batch size: '
            'set stages.0.optim_wrapper.optimizer.lr and those of the other stages'
        )
    if any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks):
        raise Refusal(
            'EarlyStoppingHook is refused in a run of stages, because it would end the whole run '
            'in one of them: take it out of custom_hooks and set stages.N.epochs'
        )
