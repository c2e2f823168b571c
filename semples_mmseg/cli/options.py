"""``--cfg-options``: refusing options that have no effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..engine.stage_plan import RUN_KEYS, STAGE_KEYS
from ..utils.errors import Refusal
from ..utils.linter import TOP, hint, known, uses


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Change a config by the values of ``--cfg-options``.

    A key has to be in the config, or be a setting of the Runner or an argument of a class (a
    dictionary with ``type``), see ``utils/linter.py``. ``+KEY=VALUE`` adds any other key.

    Args:
        config: Changed in place.
        options: Values by dotted key.
    """
    for key in options:
        if not key.startswith('+'):
            _check_known(config, key)
            _check_effect(config, key)
    config.merge_from_dict({key.removeprefix('+'): value for key, value in options.items()})


def _check_known(config: Config, key: str) -> None:
    at: Any = config.to_dict()
    parts = key.split('.')
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth])
        if isinstance(at, (list, tuple)):
            if not part.isdigit() or int(part) >= len(at):
                raise Refusal(
                    f'--cfg-options {key}: {where} is a list of {len(at)}; give the position of an '
                    f'entry, from 0 to {len(at) - 1}, in the place of {part!r}'
                )
            at = at[int(part)]
        elif not isinstance(at, Mapping):
            raise Refusal(f'--cfg-options {key}: {where} is {at!r} and has no {part!r}')
        elif part in at:
            at = at[part]
        else:
            names = _addable(config, at, where)
            if names is not None and part not in names:
                raise Refusal(
                    f'--cfg-options {key}: {where or "the config"} has no {part!r}'
                    f'{hint(part, {*names, *at}, where)} To add a new key: +{key}=VALUE'
                )
            return


def _addable(config: Config, at: Mapping[str, Any], where: str) -> set[str] | None:
    """Keys that a part of a config takes besides those that it has; None for any."""
    if not where:
        return {*TOP}
    if where.startswith('stages.'):
        stage = ('name', 'epochs', *STAGE_KEYS, *RUN_KEYS)
        return {*stage} if where.count('.') == 1 else None  # the linter merges, then checks
    found = known(at, where, config.get('default_scope') or 'mmengine')
    if 'type' in at and not any(option.closed for option in found):
        return None
    return {name for option in found for name in option.names}


def _check_effect(config: Config, key: str) -> None:
    first = key.split('.')[0]
    if first not in TOP:
        found = list(uses(config.to_dict(), config[first]))
        others = [name for name in found if name.split('.')[0] in TOP]
        if isinstance(config[first], Mapping) and not others:
            return  # such as a loader for --split-dataloader
        raise Refusal(
            f'--cfg-options {key} has no effect: {first} is a variable that the config has used '
            'already. '
            + (f'Set {", ".join(others[:6])}' if others else 'Set the keys that were made of it')
        )
    staged = [stage for stage in config.get('stages') or [] if isinstance(stage, Mapping)]
    own = staged and all(stage.get('batch_size') for stage in staged)
    if own and key == 'train_dataloader.batch_size':
        raise Refusal(
            f'--cfg-options {key} has no effect: each stage has a batch size of its own, '
            'stages.0.batch_size and so on'
        )
