"""Where corrected masks come from: a folder, a zip archive or a file, and pictures in them."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from ...utils.errors import Missing, Refusal
from ...utils.files import read_bytes
from ...utils.lists import files_below

_LARGEST = 1 << 30
"""Bytes of a file of an archive; a bomb of some kilobytes unpacks to more."""

Size = tuple[int, int]
Regions = Iterable[tuple[str, np.ndarray]]
"""Class names and their pixels, bool (H, W); what comes later is on top."""
Notes = defaultdict[str, list[str]]
"""Where it was met, by what a user has to know."""


class Picture(NamedTuple):
    """One picture: its place for messages, its photo as the tool names it, what gives its regions
    in a size, the size that the tool says, whether it has outlines, and whether it is upright.
    """

    where: str
    photo: str
    regions: Callable[[Size], Regions]
    size: Size | None = None
    outlined: bool = False
    stretched: bool = False


class Source:
    """Files by their names, with slashes. An archive is read in place, never unpacked."""

    def __init__(self, path: Path) -> None:
        self.path, self._archive = path, None
        if not path.exists():
            raise Missing(f'there is no file or folder of corrected masks at {path}')
        if path.is_dir():
            self.names = files_below(path, '')
        elif zipfile.is_zipfile(path):
            with readable(str(path)):
                self._archive = zipfile.ZipFile(path)
            self.names = [name for name in self._archive.namelist() if '/._' not in f'/{name}']
        else:
            self.path, self.names = path.parent, [path.name]

    def files(self, *suffixes: str) -> dict[str, str]:
        """Files that end in one of these suffixes, in any case, and as messages name them."""
        return {n: self._where(n) for n in self.names if n.lower().endswith(suffixes)}

    def _where(self, name: str) -> str:
        return f'{self.path}/{name if name.isprintable() else ascii(name)}'

    def read(self, name: str) -> bytes:
        """The content of a file."""
        if self._archive is None:
            return read_bytes(self.path / name)
        with readable(self._where(name)):
            if self._archive.getinfo(name).file_size > _LARGEST:
                raise Refusal('it is very large: unpack the archive yourself')
            return self._archive.read(name)

    def text(self, name: str) -> str:
        """The content of a text in UTF-8."""
        with readable(self._where(name)):
            return self.read(name).decode('utf-8-sig')


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Refuse damaged data, whatever error they raise; the message names ``where``."""
    try:
        yield
    except Refusal as error:
        raise (error if where in str(error) else Refusal(f'{where}: {error}')) from None
    except (
        *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError),
        *(zipfile.BadZipFile, zlib.error, RuntimeError, yaml.YAMLError, SyntaxError, OSError),
    ) as error:
        if getattr(error, 'errno', None):  # of the system, not of Pillow
            raise
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise Refusal(
            f'{where} is damaged, or not as its tool writes it ({reason}): export it again'
        ) from error
