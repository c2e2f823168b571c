"""Mistyped keys of a config, which MMEngine ignores without a message."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import mmseg.registry
from mmengine import Registry
from mmengine.config import Config

from ..utils.arguments import parameters
from ..utils.config_options import parts
from ..utils.errors import Refusal
from .options import TOP, known_in, uses

# Similarity from 0 to 1. Other variables are more likely at the top of a config.
_NEAR, _NEAR_AT_TOP = 0.84, 0.9
_HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
    *('epoch_seed', 'classes', 'finite_steps', 'visualization'),
)


def check_keys(config: Config) -> None:
    """Refuse keys that nothing reads and that are similar to a key that is read.

    MMEngine takes any variable at the top of a config, and ignores most unknown keys of
    dictionaries without a type; many classes take any argument.

    Raises:
        ValueError: Names the config's file, the place and the right key.
    """
    content = config.to_dict()
    for key, value in content.items():
        right = _nearest(key, (*TOP, 'custom_imports'), _NEAR_AT_TOP)
        if right and not any(use.split('.')[0] != key for use in uses(content, value)):
            _refuse(config, key, right)
    for where, part in _dictionaries(content):
        if 'type' in part:
            kind = getattr(part['type'], '__name__', str(part['type'])).rpartition('.')[2]
            classes = [set(parameters(built)) for built in _classes(kind)]
        else:
            known = _HOOKS if where == 'default_hooks' else known_in(where.split('.'))
            classes = [set(known)]
        for key in part:
            near = [_nearest(key, known) for known in classes]
            if key not in ('type', '_scope_') and near and all(near):
                _refuse(config, f'{where}.{key}', f'{where}.{near[0]}')


def _refuse(config: Config, key: str, right: str) -> None:
    raise Refusal(f'{config.filename}: {key} has no effect; did you mean {right}?')


def _nearest(key: str, known: Collection[str], near: float = _NEAR) -> str | None:
    """The known key that is most similar; None if ``key`` is known, with or without a number."""
    known_already = str(key).rstrip('0123456789') in known
    close = [] if known_already else difflib.get_close_matches(str(key), known, 1, near)
    return close[0] if close else None


def _dictionaries(at: Any, where: str = '') -> Iterator[tuple[str, Mapping]]:
    if isinstance(at, Mapping) and where:
        yield where, at
    for key, child in parts(at, where):
        yield from _dictionaries(child, key)


def _classes(kind: str) -> Iterator[Any]:
    """Classes that the registries hold under the name of a type."""
    for value in vars(mmseg.registry).values():
        registry: Registry | None = value if isinstance(value, Registry) else None
        if registry is not None:
            registry.import_from_location()
        while registry is not None:
            if kind in registry.module_dict:
                yield registry.module_dict[kind]
                break
            registry = registry.parent
