"""Recipes: what a run does, as a list of steps in MMEngine's config language.

A recipe is a file such as ``configs/runs/demo.py`` with these names:

============= =====================================================================================
``title``     What is run, the caption of the table.
``places``    Default folder of every place but ``run`` and ``root``, by its name.
``values``    Default of every value by its name: a text, a number or a list.
``needed``    What a user can do where an input that no step makes is missing.
``steps``     The steps in order; their keys are the attributes of ``Step``.
``columns``   Titles of the columns of the table of results, see ``results.py``.
``rows``      Its rows.
============= =====================================================================================

In the texts of a step, ``{run}``, ``{root}``, the names of places and those of values are filled
in. A text that is one name alone, such as ``'{test}'``, becomes its value; a list in place of an
element of a list becomes elements of it. ``root`` is the folder of ``configs`` and ``tools``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import environment
from ..utils.configs import read_config
from ..utils.errors import Missing, Refusal
from ..utils.lists import read_image_ids

_NAME = re.compile(r'\{(\w+)\}')
_LOADERS = {'train.py': 'train', 'test.py': 'test', 'make_pseudo_masks.py': 'pseudo_mask'}


@dataclass(frozen=True)
class Step:
    """One command of a run. Its texts keep the names of places, such as ``{run}``.

    Attributes:
        name: Unique within the recipe.
        tool: File below ``tools``, or the name of a module for ``python -m``.
        places: Folders by the names of places.
        gpus: Processes of a step that has a config, one per GPU.
        config: Config below ``configs``, the first argument of the tool; none if empty. The result
            depends on its content.
        options: ``key=value`` settings of the config.
        arguments: Arguments of the tool.
        resume: Arguments that are added where an earlier try was broken off.
        inputs: Files and folders that the result depends on.
        outputs: Files and folders that the command writes.
        folder: The folder that this step alone writes to, from which a tool resumes. It is removed
            when the step is made anew; empty if there is none.
        when: A path; without it the run has no such step. Empty for every run.
        work: Amount of work, shown in the plan; by default the epochs of a training.
        megabytes: Approximate size of the outputs, without what is in proportion to the images.
        image_megabytes: Approximate size of the outputs for one image.
        length: Length relative to the other steps, for the time left of all; 0 if not known.
    """

    name: str
    tool: str
    places: Mapping[str, Path]
    gpus: int = 1
    config: str = ''
    options: Sequence[str] = ()
    arguments: Sequence[str] = ()
    resume: Sequence[str] = ()
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    folder: str = ''
    when: str = ''
    work: str = ''
    megabytes: float = 0.0
    image_megabytes: float = 0.0
    length: float = 0.0

    def fill(self, text: str) -> str:
        """A text with the folders of the places in it."""
        return _NAME.sub(lambda found: str(self.places.get(found[1], found[0])), text)

    def paths(self, texts: Sequence[str]) -> dict[str, Path]:
        """Paths by their texts."""
        return {text: Path(self.fill(text)) for text in texts}

    def command(self, options: Sequence[str] = (), resume: bool = False) -> list[str]:
        """Arguments of the Python interpreter.

        Args:
            options: More settings of the config.
            resume: Whether to add the arguments for it.
        """
        command = [*self.arguments, *(self.resume if resume else ())]
        if settings := [*self.options, *options]:
            command += ['--cfg-options', *settings]
        command = [self.fill(text) for text in command]
        if not self.tool.endswith('.py'):
            return ['-m', self.tool, *command]
        tool = str(self.places['root'] / 'tools' / self.tool)
        if not self.config:
            return [tool, *command]
        if self.gpus == 1:
            return [tool, str(self.config_file), *command]
        spread = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(self.gpus)]
        return [*spread, tool, str(self.config_file), '--launcher', 'pytorch', *command]

    @property
    def config_file(self) -> Path:
        """Path of the config."""
        return self.places['root'] / 'configs' / self.fill(self.config)

    @cached_property
    def resolved(self) -> Config:
        """The config with the options of this step."""
        return read_config(self.config_file, [self.fill(text) for text in self.options])

    def settings(self) -> dict[str, Any]:
        """What the result depends on beside the inputs, without folders of this machine."""
        settings = dict(tool=self.tool, arguments=[*self.arguments])
        if self.config:
            settings['config'] = self.resolved.to_dict()
        return self._named(settings)

    def images(self, loader: str = '') -> int | None:
        """Number of images that the step goes through; None where no list of them is there yet.

        Args:
            loader: ``'val'`` for the images of the validation.
        """
        if not self.config or self.tool not in _LOADERS:
            return None
        dataset = self.resolved[f'{loader or _LOADERS[self.tool]}_dataloader'].dataset
        listed = Path(dataset.get('data_root') or '') / dataset.get('ann_file', '')
        return len(read_image_ids(str(listed))) if listed.is_file() else None

    def epochs(self) -> str:
        """Epochs of a training, as text."""
        if self.tool != 'train.py':
            return ''
        if stages := self.resolved.get('stages'):
            return 'epochs: ' + ', '.join(f'{stage.name} {stage.epochs}' for stage in stages)
        return f'epochs: {self.resolved.train_cfg.max_epochs}'

    def _named(self, value: Any) -> Any:
        """JSON data in which the names of places stand for their folders."""
        if isinstance(value, Mapping):
            return {str(key): self._named(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._named(part) for part in value]
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        text = str(value)
        # A place may be inside another one.
        for name, place in sorted(self.places.items(), key=lambda item: -len(str(item[1]))):
            text = text.replace(str(place), f'{{{name}}}')
        return text


@dataclass(frozen=True)
class Recipe:
    """A recipe with everything filled in.

    Attributes:
        title: What is run.
        folder: Folder of the run.
        steps: The steps in order.
        columns: Titles of the columns of the table of results; without any there is no table.
        rows: Its rows.
    """

    title: str
    folder: Path
    steps: Sequence[Step]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = field(default_factory=list)


def read_recipe(
    name: str | Path,
    run: str | Path,
    places: Mapping[str, str | Path] | None = None,
    values: Mapping[str, Any] | None = None,
    gpus: int = 1,
) -> Recipe:
    """Read a recipe, and fill in places and values.

    Args:
        name: Name of a recipe of this package, such as ``'demo'``, or a path.
        run: Folder of the run.
        places: Folders in place of the recipe's ``places``.
        values: Values in place of the recipe's ``values``.
        gpus: Processes of the steps that have a config.

    Raises:
        Missing: If there is no such recipe, or an input that no step makes is missing.
        Refusal: If the recipe is wrong, or a place or a value is not of the recipe.
    """
    root = environment.clone_or_installed().resolve()
    file = Path(name)
    if not file.suffix:
        file = root / 'configs' / 'runs' / f'{name}.py'
    if not file.is_file():
        raise Missing(f'there is no recipe {file}')
    content = read_config(file).to_dict()
    given = [('places', places or {}), ('values', values or {})]
    for key, changes in given:
        if unknown := [name for name in changes if name not in content.get(key, {})]:
            raise Refusal(f'{file} has no {unknown[0]!r} in its {key}')
    own = {**content.get('places', {}), **(places or {})}
    folders = {key: Path(place).resolve() for key, place in own.items()}
    folders |= dict(run=Path(run).resolve(), root=root)
    known = {**content.get('values', {}), **(values or {})}
    steps = []
    for settings in content['steps']:
        filled = {key: _filled(value, known, folders, file) for key, value in settings.items()}
        wrong = filled.keys() - {f.name for f in fields(Step)} | filled.keys() & {'places', 'gpus'}
        if wrong:
            raise Refusal(f'{file}: step {settings.get("name")!r} has no key {min(wrong)!r}')
        step = Step(places=folders, gpus=gpus, **filled)
        if not step.when or Path(step.fill(step.when)).exists():
            steps.append(step)
    _check_inputs(steps, content.get('needed', ''))
    title, columns, rows = content['title'], content.get('columns', ()), content.get('rows', ())
    return Recipe(title, folders['run'], steps, columns, rows)


def _filled(value: Any, values: Mapping[str, Any], places: Mapping[str, Path], file: Path) -> Any:
    """A value of a step with all values filled in; the names of places stay."""
    if isinstance(value, (list, tuple)):
        parts = [(part, _filled(part, values, places, file)) for part in value]
        return [
            one
            for part, found in parts
            for one in (found if isinstance(part, str) and isinstance(found, list) else [found])
        ]
    if not isinstance(value, str):
        return value
    alone = _NAME.fullmatch(value)
    if alone and alone[1] in values:
        found = values[alone[1]]
        return [*found] if isinstance(found, (list, tuple)) else found

    def named(match: re.Match) -> str:
        if match[1] in places:
            return match[0]
        if match[1] not in values:
            raise Refusal(f'{file}: {value!r} names {match[0]}, which is no place and no value')
        return str(values[match[1]])

    return _NAME.sub(named, value)


def _check_inputs(steps: Sequence[Step], advice: str) -> None:
    """Check that every input is there or the output of an earlier step.

    Raises:
        Missing: If not; the message names all of them.
    """
    made: set[Path] = set()
    missing: list[str] = []
    for step in steps:
        for path in step.paths(step.inputs).values():
            if made.isdisjoint([path, *path.parents]) and not path.exists():
                missing.append(str(path))
        made.update(step.paths(step.outputs).values())
    if missing:
        more = f' and {len(missing) - 5} more' if len(missing) > 5 else ''
        raise Missing(f'missing: {", ".join(missing[:5])}{more}. {advice}'.rstrip('. '))
