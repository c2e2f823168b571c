"""The option ``--cfg-options``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any


def option(text: str) -> str:
    """Check one ``key=value``; for ``type`` of an argument.

    Raises:
        argparse.ArgumentTypeError: If there is no ``=``.
    """
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form key=value')
    return text


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """Values by key, read as MMEngine's ``DictAction`` does, which removes spaces from paths."""
    from mmengine.config import DictAction  # takes seconds; the tools parse before

    options = {}
    for text in texts:
        key, value = text.split('=', 1)
        if ',' in value or value.startswith(('(', '[')):
            options[key] = DictAction._parse_iterable(value)
        else:
            options[key] = DictAction._parse_int_float_bool(value.strip('\'"'))
    return options
