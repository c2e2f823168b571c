"""The option ``--cfg-options``."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Refusal

if TYPE_CHECKING:
    from mmengine.config import Config


def option(text: str) -> str:
    """Check one ``key=value``; for ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: If there is no ``=``.
    """
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form key=value')
    return text


def parts(at: Any, where: str = '') -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of the items of a dictionary or a list; none for other values.

    Args:
        at: A part of a config.
        where: Its dotted key.
    """
    items: Any = ()
    if isinstance(at, Mapping):
        items = at.items()
    elif isinstance(at, (list, tuple)):
        items = enumerate(at)
    for name, value in items:
        yield (f'{where}.{name}' if where else str(name)), value


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """Values by key, read as MMEngine's ``DictAction`` does, which removes spaces from paths."""
    from mmengine.config import DictAction  # slow: not imported for `--help`

    options = {}
    for text in texts:
        key, value = text.split('=', 1)
        if ',' in value or value.startswith(('(', '[')):
            options[key] = DictAction._parse_iterable(value)
        else:
            options[key] = DictAction._parse_int_float_bool(value.strip('\'"'))
    return options


def read_file(path: str | Path) -> Config:
    """Read a config.

    Raises:
        ValueError: If it cannot be read; the message names the file (perhaps a base) and the line.
    """
    from mmengine.config import Config

    try:
        return Config.fromfile(path)
    # Configs are Python files, with errors of all types.
    except Exception as error:
        reason, at = error.args[0] if isinstance(error, SyntaxError) else error, ''
        for frame, line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_name == '<module>':
                at = f' ({frame.f_code.co_filename}, line {line})'
            elif isinstance(error, SyntaxError) and 'filename' in frame.f_locals:
                read = frame.f_locals['filename']
                at = at if read == '<unknown>' else f' ({read}, line {error.lineno})'
        text = ' '.join(str(reason).split())
        raise Refusal(f'{path} cannot be read: {type(error).__name__}: {text}{at}') from error


def read_config(path: Path, texts: Iterable[str]) -> Config:
    """A config with the options of ``--cfg-options``, without the checks of the tools."""
    config = read_file(path)
    config.merge_from_dict(read_options(texts))
    return config
