"""A finished model as data, ``model.json``: architecture, numbers, classes and colours.

A config of MMEngine is a program, also as JSON: its types, bases and imports name code to run. This
file has names of a closed list and numbers; the code is that of our own configs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..environment import clone_or_installed
from ..utils.configs import parts
from ..utils.errors import Refusal
from ..utils.files import read_json
from ..utils.label_png import check_classes
from .torch_model import prediction_steps

ARCHITECTURES = {
    'segmenter_deit-s': 'segmenter/segmenter_photos.py',
    'deeplabv3plus_lite0': 'segmenter/segmenter_photos_small.py',
    'segmenter_demo': 'segmenter/segmenter_photos_demo.py',
}
"""Those that ``fit`` makes, and their configs."""
FORMAT = 1
_KEYS = {'format', 'architecture', 'numbers', 'classes', 'palette'}
MADE_BY_HAND = 'masks_made_by_hand'
"""Key with how many masks of the training were; it is not read, and may be missing."""
_LARGEST = 1_000_000


def describe(config: Config, meta: dict[str, Any]) -> dict[str, Any]:
    """The content of ``model.json`` for the config of a Segmenter, its classes and palette."""
    found = _content(config)
    numbers = dict(_numbers(found))
    for name in ARCHITECTURES:
        try:
            built = _with_numbers(_base(name), numbers, 'numbers')
        except Refusal:
            continue
        if json.dumps(built, sort_keys=True) == json.dumps(found, sort_keys=True):
            own = dict(classes=list(meta['classes']), palette=meta['palette'])
            return dict(format=FORMAT, architecture=name, numbers=numbers, **own)
    raise Refusal(f'the model of {config.filename} is none of {", ".join(ARCHITECTURES)}')


def read_architecture(file: Path) -> tuple[Config, dict[str, Any]]:
    """The config for prediction that ``model.json`` describes, and its classes and palette."""
    given = read_json(file)
    if (
        not isinstance(given, dict)
        or given.keys() - {MADE_BY_HAND} != _KEYS
        or given['format'] != FORMAT
    ):
        raise Refusal(
            f'{file} is no model of this version: expected the keys {", ".join(sorted(_KEYS))}, '
            f'format {FORMAT}'
        )
    name = given['architecture']
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise Refusal(f'{file}: architecture has to be one of {", ".join(ARCHITECTURES)}')
    if not isinstance(given['numbers'], dict):
        raise Refusal(f'{file}: numbers has to be an object')
    check_classes(given['classes'], given['palette'], str(file))
    built = _with_numbers(_base(name), given['numbers'], f'{file}: numbers')
    built['model']['class_names'] = given['classes'][1:]
    content = dict(default_scope='mmseg', model=built['model'], test_pipeline=built['steps'])
    return Config(content), dict(classes=given['classes'], palette=given['palette'])


def without_weights(part: Any) -> Any:
    """A config without the files of initial weights."""
    if not isinstance(part, dict):
        return part
    kept = {key: without_weights(value) for key, value in part.items()}
    if isinstance(kept.get('init_cfg'), dict) and kept['init_cfg'].get('type') == 'Pretrained':
        del kept['init_cfg']
    return kept


def _base(name: str) -> dict[str, Any]:
    return _content(Config.fromfile(clone_or_installed() / 'configs' / ARCHITECTURES[name]))


def _content(config: Config) -> dict[str, Any]:
    """What prediction needs of a config, besides the classes."""
    model = without_weights(config.to_dict()['model'])
    model.pop('class_names', None)
    return _without_scopes(dict(model=model, steps=prediction_steps(config)))


def _without_scopes(part: Any) -> Any:
    """Without the registry that MMEngine notes in bases of a package."""
    if isinstance(part, dict):
        return {k: _without_scopes(value) for k, value in part.items() if k != '_scope_'}
    return type(part)(map(_without_scopes, part)) if isinstance(part, (list, tuple)) else part


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(part: Any, where: str = '') -> Iterator[tuple[str, int | float]]:
    """Dotted keys and values of all numbers."""
    for key, value in parts(part, where):
        if _is_number(value):
            yield key, value
        else:
            yield from _numbers(value, key)


def _with_numbers(base: dict[str, Any], numbers: dict[str, Any], where: str) -> dict[str, Any]:
    """A copy of a config with other numbers, which are checked; none may be missing or unknown."""
    known = dict(_numbers(base))
    if wrong := sorted(known.keys() ^ numbers.keys()):
        state = 'is unknown' if wrong[0] in numbers else 'is missing'
        raise Refusal(f'{where}.{wrong[0]} {state}: the model is of another version, or damaged')
    for key, value in numbers.items():
        whole = isinstance(known[key], int)
        if (
            not _is_number(value)
            or (whole and not isinstance(value, int))
            or not math.isfinite(value)
            or abs(value) > _LARGEST
            or (known[key] >= 0 > value)
            or (whole and known[key] > 0 and value == 0)
        ):
            kind = 'whole number' if whole else 'number'
            raise Refusal(f'{where}.{key}: {value!r} is not possible, expected a {kind}')

    def copy(part: Any, where: str) -> Any:
        if _is_number(part):
            return numbers[where]
        made = {key: copy(value, key) for key, value in parts(part, where)}
        if isinstance(part, dict):
            return dict(zip(part, made.values(), strict=True))
        return type(part)(made.values()) if isinstance(part, (list, tuple)) else part

    return copy(base, '')
