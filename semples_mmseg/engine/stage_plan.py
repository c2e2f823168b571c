"""Reading and checking the list of stages of a run."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from ..models.stages import Stage, resolve_stage
from ..utils.errors import Refusal

STAGE_KEYS = ('losses', 'trains', 'mask_eps')
RUN_KEYS = ('optim_wrapper', 'param_scheduler', 'train_pipeline', 'batch_size', 'restore', 'keeps')
_EXAMPLE = "stages = [dict(name='match', epochs=60), dict(name='prompt', epochs=60), ...]"


@dataclass(frozen=True)
class StageSpec:
    """One entry of the list of stages.

    Attributes:
        stage: Losses, and what trains.
        epochs: Its length.
        optim_wrapper: Changes to the config's ``optim_wrapper``, merged into it.
        param_scheduler: Replaces the config's ``param_scheduler``.
        train_pipeline: Replaces the training pipeline.
        batch_size: Images of a step, all processes together; replaces the loader's.
        restore: Module path -> name of a stage; the module gets the weights that it had at the
            (first) start of that stage.
        keeps: Module paths whose weights at the start of this stage are stored, so that another
            run can restore them.
    """

    stage: Stage
    epochs: int
    optim_wrapper: Mapping[str, Any] | None = None
    param_scheduler: Any = None
    train_pipeline: Any = None
    batch_size: int | None = None
    restore: Mapping[str, str] = field(default_factory=dict)
    keeps: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.stage.name

    def optimizer_config(self, config: Mapping[str, Any]) -> Any:
        """The ``optim_wrapper`` of a config with the changes of this stage."""
        merged = Config(dict(wrapper=copy.deepcopy(config['optim_wrapper'])))
        # A copy, because MMEngine removes `_delete_` from what it merges.
        merged.merge_from_dict(dict(wrapper=copy.deepcopy(dict(self.optim_wrapper or {}))))
        merged.wrapper.setdefault('constructor', 'TrainableOptimWrapperConstructor')
        return merged.wrapper

    def schedulers_config(self, config: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The schedules of this stage, or else those of a config, as long as the stage."""
        given = self.param_scheduler
        given = config.get('param_scheduler') if given is None else given
        if given is None:
            return None
        entries = [dict(entry) for entry in (given if isinstance(given, list) else [given])]
        for entry in entries:
            if entry.get('by_epoch', True):
                entry.setdefault('end', self.epochs)
        return entries


class StagePlan:
    """The stages of a run, one after another.

    Args:
        stages: Dictionaries with ``name`` and ``epochs``; optionally ``losses``, ``trains`` and
            ``mask_eps`` (see ``Stage``) and the attributes of ``StageSpec``.

    Raises:
        ValueError: If the list is empty, or an entry has an unknown name or key, no epochs, or
            restores weights that no earlier stage has.
    """

    def __init__(self, stages: Sequence[Mapping[str, Any]] | None) -> None:
        if not stages:
            raise Refusal(f'the config has no stages: set e.g. {_EXAMPLE}')
        self.specs = [self._read(index, dict(entry)) for index, entry in enumerate(stages)]
        self.ends: list[int] = []
        for spec in self.specs:
            self.ends.append(spec.epochs + (self.ends[-1] if self.ends else 0))

    @staticmethod
    def _read(index: int, entry: dict[str, Any]) -> StageSpec:
        where = f'stages[{index}]'
        if 'name' not in entry or 'epochs' not in entry:
            raise Refusal(f'{where} needs a name and epochs, got {entry}; e.g. {_EXAMPLE}')
        unknown = set(entry) - {'name', 'epochs', *STAGE_KEYS, *RUN_KEYS}
        if unknown:
            raise Refusal(
                f'{where} ({entry["name"]}): unknown keys {sorted(unknown)}; known are '
                f'{("name", "epochs", *STAGE_KEYS, *RUN_KEYS)}'
            )
        epochs, batch_size = entry['epochs'], entry.get('batch_size')
        if not isinstance(epochs, int) or epochs < 1:
            raise Refusal(f'{where} ({entry["name"]}): epochs must be at least 1, got {epochs!r}')
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise Refusal(
                f'{where} ({entry["name"]}): batch_size must be at least 1, got {batch_size!r}'
            )
        stage = resolve_stage(entry['name'], **{k: entry[k] for k in STAGE_KEYS if k in entry})
        settings = {key: entry[key] for key in RUN_KEYS if entry.get(key) is not None}
        return StageSpec(stage, epochs, **settings)

    def __len__(self) -> int:
        return len(self.specs)

    @property
    def total_epochs(self) -> int:
        """Length of the run."""
        return self.ends[-1]

    def file_name(self, index: int) -> str:
        """Name of the file of weights that a stage leaves: ``refine.pth``.

        Where a stage occurs more than once, its position in the list (from 1) is added:
        ``refine_3.pth`` and ``refine_5.pth``.
        """
        name = self.specs[index].name
        alone = [spec.name for spec in self.specs].count(name) == 1
        return f'{name}.pth' if alone else f'{name}_{index + 1}.pth'

    def index_at(self, epoch: int) -> int:
        """Which stage an epoch (from 0) belongs to."""
        for index, end in enumerate(self.ends):
            if epoch < end:
                return index
        return len(self.specs) - 1

    def start_of(self, index: int) -> int:
        """First epoch (from 0) of a stage."""
        return self.ends[index - 1] if index else 0

    def ends_stage(self, epochs_done: int) -> bool:
        """Whether a stage is complete after so many epochs."""
        return epochs_done in self.ends

    def snapshots_at(self, index: int) -> list[str]:
        """Modules whose weights at the start of a stage are needed later, or by another run."""
        name = self.specs[index].name
        if name in (spec.name for spec in self.specs[:index]):
            return []
        later = self.specs[index + 1 :]
        wanted = {m for s in later for m, source in s.restore.items() if source == name}
        return sorted(wanted | set(self.specs[index].keeps))

    def stages_until_wanted(self, module: str, index: int) -> list[Stage]:
        """The stages that train before the last one that restores a module from a stage."""
        name, last = self.specs[index].name, len(self)
        if module not in self.specs[index].keeps:
            last = max(
                later
                for later in range(index + 1, len(self))
                if self.specs[later].restore.get(module) == name
            )
        return [spec.stage for spec in self.specs[index:last]]
