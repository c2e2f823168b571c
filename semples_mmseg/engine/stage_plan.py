"""Reading and checking the list of stages of a run."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import Any

from ..models.stages import Stage, resolve_stage
from ..utils.errors import Refusal
from ..utils.linter import merged

START = 'start.pth'
"""Weights before the first step, of the modules that start from them again in a later stage."""
_EXAMPLE = "stages = [dict(name='match', epochs=60), dict(name='prompt', epochs=60), ...]"


@dataclass(frozen=True)
class StageSpec:
    """One entry of the list of stages.

    Attributes:
        stage: Losses, and what trains.
        epochs: Its length.
        optim_wrapper: Changes to the config's ``optim_wrapper``, merged into it.
        param_scheduler, train_pipeline: Replace those of the config.
        batch_size: Images of a step, all processes together; replaces the loader's.
        restore: Dotted path of a module -> name of an earlier stage, or a file. The module starts
            again, from the weights that it had at the (first) start of that stage, or from the
            file's.
    """

    stage: Stage
    epochs: int
    optim_wrapper: Mapping[str, Any] = field(default_factory=dict)
    param_scheduler: Any = None
    train_pipeline: Any = None
    batch_size: int | None = None
    restore: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.stage.name

    def optimizer_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The ``optim_wrapper`` of a config with the changes of this stage."""
        wrapper = merged(config['optim_wrapper'], self.optim_wrapper)
        return dict(constructor='TrainableOptimWrapperConstructor') | wrapper

    def schedulers_config(self, config: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The schedules of this stage, or else of a config, as long as the stage."""
        whole = config.get('param_scheduler') or []
        given = whole if self.param_scheduler is None else self.param_scheduler
        entries = [dict(entry) for entry in (given if isinstance(given, list) else [given])]
        for entry in entries:
            if 'Plateau' in str(entry.get('type')):
                raise Refusal(
                    f'param_scheduler: {entry["type"]} waits for metrics, which need pixel labels '
                    'and come at the end of a stage: take another schedule'
                )
            if entry.get('by_epoch', True):
                entry.setdefault('end', self.epochs)
        return entries or None


STAGE_KEYS = tuple(part.name for part in fields(Stage) if part.name != 'name')
RUN_KEYS = tuple(part.name for part in fields(StageSpec) if part.name not in ('stage', 'epochs'))


class StagePlan:
    """The stages of a run, one after another.

    Args:
        stages: Dictionaries with ``name`` and ``epochs``; optionally the other attributes of
            ``Stage`` and of ``StageSpec``.

    Attributes:
        specs: The stages.
        ends: Epochs that are done when each stage ends.

    Raises:
        Refusal: If the list is empty, or an entry has an unknown name or key, or no epochs.
    """

    def __init__(self, stages: Sequence[Mapping[str, Any]] | None) -> None:
        if not stages:
            raise Refusal(f'the config has no stages: set e.g. {_EXAMPLE}')
        self.specs = [_read(f'stages.{at}', dict(entry)) for at, entry in enumerate(stages)]
        self.ends = list(accumulate(spec.epochs for spec in self.specs))

    def index_at(self, epoch: int) -> int:
        """Which stage an epoch (from 0) belongs to."""
        return bisect_right(self.ends, epoch)

    def file_name(self, index: int) -> str:
        """The file of weights that a stage leaves: ``refine.pth``; ``refine_3.pth`` of several."""
        names = [spec.name for spec in self.specs]
        name = names[index]
        return f'{name}.pth' if names.count(name) == 1 else f'{name}_{index + 1}.pth'

    def own_files(self, index: int) -> dict[str, str]:
        """Names of this run's files that a stage reads, by the modules that it starts again."""
        # What a stage begins with is what the one before has left.
        left = [START, *(self.file_name(before) for before in range(index))]
        names = [spec.name for spec in self.specs[:index]]
        restore = self.specs[index].restore.items()
        return {module: left[names.index(name)] for module, name in restore if name in names}


def _read(where: str, entry: dict[str, Any]) -> StageSpec:
    if 'name' not in entry or 'epochs' not in entry:
        raise Refusal(f'{where} needs a name and epochs, got {entry}; e.g. {_EXAMPLE}')
    where = f'{where} ({entry["name"]})'
    keys = ('name', 'epochs', *STAGE_KEYS, *RUN_KEYS)
    if unknown := sorted(entry.keys() - {*keys}):
        raise Refusal(f'{where}: unknown keys {unknown}; known are {", ".join(keys)}')
    given = {key: value for key, value in entry.items() if value is not None}
    for key in ('epochs', 'batch_size'):
        value = given.get(key, 1)
        if not isinstance(value, int) or value < 1:
            raise Refusal(f'{where}: {key} must be a whole number of at least 1, got {value!r}')
    stage = resolve_stage(entry['name'], **{k: given[k] for k in STAGE_KEYS if k in given})
    return StageSpec(stage, entry['epochs'], **{k: given[k] for k in RUN_KEYS if k in given})
