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

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import environment
from ..utils.configs import read_config
from ..utils.errors import Missing, Refusal
from ..utils.lists import read_image_ids

_LOADERS = {'train.py': 'train', 'test.py': 'test', 'make_pseudo_masks.py': 'pseudo_mask'}


@dataclass(frozen=True)
class Step:
    """One command of a run. Its texts keep the names of places, such as ``{run}``.

    Attributes:
        name: Unique within the recipe.
        tool: File below ``tools``, or the name of a module for ``python -m``.
        places: Folders by the names of places; not a key of recipes.
        gpus: Processes of a step that has a config, one per GPU; not a key of recipes.
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
        length: Length relative to the other steps, for the time left of all.
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
    length: float = 1.0

    def fill(self, text: str) -> str:
        """A text with the folders of the places in it."""
        return re.sub(r'\{(\w+)\}', lambda name: str(self.places.get(name[1], name[0])), text)

    def paths(self, texts: Sequence[str]) -> dict[str, Path]:
        """Paths by their texts."""
        return {text: Path(self.fill(text)) for text in texts}

    def command(self, options: Sequence[str] = (), resume: bool = False) -> list[str]:
        """Arguments of the Python interpreter, with more settings of the config."""
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
        """What the result depends on beside the inputs, as JSON data.

        The names of places stand for their folders, so that a run can be moved.
        """
        config = self.resolved.to_dict() if self.config else {}
        settings = dict(tool=self.tool, arguments=[*self.arguments], config=config)
        text = json.dumps(settings, default=str)
        # A place may be inside another one.
        for name, place in sorted(self.places.items(), key=lambda item: -len(str(item[1]))):
            text = text.replace(json.dumps(str(place))[1:-1], f'{{{name}}}')
        return json.loads(text, parse_constant=str)

    @property
    def loader(self) -> str:
        """Name of the data loader that the step goes through; empty if there is none."""
        return _LOADERS.get(self.tool, '') if self.config else ''

    def images(self, loader: str = '') -> int | None:
        """Number of images of a data loader, by default the step's; None without a list of them."""
        if not (loader := loader or self.loader):
            return None
        dataset = self.resolved[f'{loader}_dataloader'].dataset
        listed = Path(dataset.get('data_root') or '') / dataset.get('ann_file', '')
        return len(read_image_ids(str(listed))) if listed.is_file() else None


@dataclass(frozen=True)
class Recipe:
    """A recipe with everything filled in; ``folder`` is that of the run."""

    title: str
    folder: Path
    steps: Sequence[Step]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()

    def given(self, step: Step) -> dict[str, Path]:
        """Inputs of a step that no step before it makes, by their texts."""
        before = self.steps[: self.steps.index(step)]
        made = {path for one in before for path in one.paths(one.outputs).values()}
        inputs = step.paths(step.inputs)
        return {
            text: path for text, path in inputs.items() if made.isdisjoint([path, *path.parents])
        }


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
    file = Path(name) if Path(name).suffix else root / 'configs' / 'runs' / f'{name}.py'
    if not file.is_file():
        raise Missing(f'there is no recipe {file}')
    content = read_config(file).to_dict()
    known: dict[str, dict[str, Any]] = {}
    for key, changes in dict(places=places or {}, values=values or {}).items():
        known[key] = content.get(key, {})
        if unknown := changes.keys() - known[key].keys():
            raise Refusal(f'{file} has no {min(unknown)!r} in its {key}')
        known[key].update(changes)
    folders = {key: Path(place).resolve() for key, place in known['places'].items()}
    folders |= dict(run=Path(run).resolve(), root=root)
    names = {key: f'{{{key}}}' for key in folders} | known['values']
    steps = []
    for settings in content['steps']:
        try:
            filled = {key: _filled(value, names) for key, value in settings.items()}
            step = Step(places=folders, gpus=gpus, **filled)
        except KeyError as error:
            where = f'{file}: {error} in step {settings.get("name")!r}'
            raise Refusal(f'{where} is no place and no value') from None
        except TypeError as error:
            raise Refusal(f'{file}: step {settings.get("name")!r}: {error}') from None
        if not step.when or Path(step.fill(step.when)).exists():
            steps.append(step)
    table = {key: content[key] for key in ('columns', 'rows') if key in content}
    recipe = Recipe(content['title'], folders['run'], steps, **table)
    given = [path for step in steps for path in recipe.given(step).values()]
    if missing := [str(path) for path in given if not path.exists()]:
        more = f' and {len(missing) - 5} more' if len(missing) > 5 else ''
        advice = content.get('needed', '')
        raise Missing(f'missing: {", ".join(missing[:5])}{more}. {advice}'.rstrip('. '))
    return recipe


def _filled(value: Any, names: Mapping[str, Any]) -> Any:
    """A value of a step with all values filled in; ``names`` has the places as ``{NAME}``."""
    if isinstance(value, (list, tuple)):
        parts: list[Any] = []
        for part in value:
            found = _filled(part, names)
            parts += found if isinstance(found, (list, tuple)) else [found]
        return parts
    if not isinstance(value, str):
        return value
    alone = value[1:-1]
    return names[alone] if value == f'{{{alone}}}' and alone in names else value.format_map(names)
