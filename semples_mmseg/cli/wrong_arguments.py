"""Messages for types and arguments in a config that do not exist."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from ..utils.arguments import hint, parameters, types
from ..utils.config_options import parts

_UNKNOWN = re.compile(r"got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r'missing \d+ required (?:positional|keyword-only) arguments?: (.+)')
# MMEngine's functions that build from a config -> their variables for the class and its arguments.
_BUILDERS = {
    'build_from_cfg': ('obj_cls', 'args'),
    'build_scheduler_from_cfg': ('scheduler_cls', 'args'),
    'build_dataloader': ('DataLoader', 'dataloader_cfg'),
}


def wrong_argument(error: BaseException) -> str | None:
    """Explain an unknown type, or an unknown or missing argument; ``None`` for other errors.

    Args:
        error: As it left MMEngine: a ``TypeError`` for an unknown or a missing argument of a
            dictionary with ``type`` or of a data loader, a ``KeyError`` for an unknown ``type``.

    Returns:
        One line with the config's file, the place in it, the class, and the nearest name.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for position, frame in reversed(list(enumerate(frames))):
        code, module = frame.f_code, frame.f_globals.get('__name__', '')
        if code.co_name not in _BUILDERS or not module.startswith('mmengine.'):
            continue
        class_name, arguments_name = _BUILDERS[code.co_name]
        variables = {**frame.f_globals, **frame.f_locals}
        built, given = variables.get(class_name), variables.get(arguments_name) or {}
        innermost = position == len(frames) - 1
        if isinstance(error, KeyError) and innermost and built is None:
            kind = str(variables.get('obj_type') or variables.get('scheduler_type'))
            known = types(variables['registry'])
            return f'{_place(frames, kind, None)}: there is no {kind!r}{hint(kind, known)}'
        if not isinstance(error, TypeError) or not callable(built):
            return None
        kind = getattr(built, '__name__', str(built))
        unknown, missing = _UNKNOWN.search(str(error)), _MISSING.search(str(error))
        if unknown and unknown[1] in given:
            known = set(parameters(built))
            at = _place(frames, kind, unknown[1])
            return f'{at}: {kind} has no argument {unknown[1]!r}{hint(unknown[1], known)}'
        if missing and innermost:
            return f'{_place(frames, kind, None)}: {kind} needs {missing[1]}'
        return None
    return None


def _place(frames: list[Any], kind: str, argument: str | None) -> str:
    """The config's file, and the keys of the dictionaries of a type with an argument."""
    for frame in frames:
        for config in frame.f_locals.values():
            if isinstance(config, Config):
                places = list(_places(config.to_dict(), kind, argument))[:3]
                return ': '.join(filter(None, [config.filename, ', '.join(places)]))
    return 'the config'


def _places(at: Any, kind: str, argument: str | None, where: str = '') -> Iterator[str]:
    if isinstance(at, Mapping):
        named = getattr(at.get('type'), '__name__', str(at.get('type', 'DataLoader')))
        fits = named.rpartition('.')[2] == kind.rpartition('.')[2]
        if fits and (argument is None or argument in at):
            yield where
    for key, child in parts(at, where):
        yield from _places(child, kind, argument, key)
