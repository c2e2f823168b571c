"""The errors of this package; a command prints their text as ``error: ...``, without traceback."""

from __future__ import annotations

import re

_WORKER = re.compile(r'\ACaught \w+ in [^\n]*\.\nOriginal .*^[\w.]+: ', re.DOTALL | re.M)


class _OwnText(Exception):
    """PyTorch raises an error of a loader worker anew, with the worker's traceback as its text.

    The text of these errors is then their own again.
    """

    def __init__(self, text: str = '') -> None:
        super().__init__(_WORKER.sub('', str(text).rstrip('\n')))


class Refusal(_OwnText, ValueError):
    """The package refuses its input; exit code 2. The text names file, key or option, and fix."""


class Missing(Refusal, FileNotFoundError):
    """A file or folder that is needed does not exist."""


class AlreadyThere(Refusal, FileExistsError):
    """A file or folder would be overwritten."""


class MissingPackage(Refusal, ImportError):
    """A Python package that is needed is not installed."""


class RunError(_OwnText, RuntimeError):
    """The package ends a run that had begun; exit code 1. Files that are complete stay."""
