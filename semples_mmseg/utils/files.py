"""Reading files from strangers: ordinary files alone, of a limited size, and strict JSON."""

import json
import os
import re
import stat
from collections import Counter
from typing import Any

from mmengine import fileio

MAX_LIST_BYTES = 1 << 28
"""Largest split list or label file: 256 MiB, several million images."""


def read_bytes(
    path: str | os.PathLike, limit: int, kind: str = 'file', backend_args: dict | None = None
) -> bytes:
    """Read a file that is an ordinary one and not too large.

    A pipe or a device under the name of an image would be waited for, or read, for ever.

    Args:
        path: The file; what symbolic links lead to counts.
        limit: Largest size in bytes; of local files no more is ever read.
        kind: What it is meant to be, for the error messages.
        backend_args: Of the file backend, as everywhere in mmengine.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be opened; the error has the name of the file.
        ValueError: If it is a folder, a pipe or a device, or too large.
    """
    path = os.fspath(path)
    if backend_args is not None or '://' in path:
        content = bytes(fileio.get(path, backend_args=backend_args))
    else:
        content = _read_local(path, limit, kind)
    if len(content) > limit:
        raise ValueError(f'{kind} {path} is larger than {limit:,} bytes: it is something else')
    return content


def _read_local(path: str, limit: int, kind: str) -> bytes:
    """At most ``limit`` + 1 bytes of an ordinary file."""
    try:
        # without waiting for the other end of a pipe, and on Windows without changing line ends
        flags = getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
        descriptor = os.open(path, os.O_RDONLY | flags)
    except ValueError as error:  # NUL in the name, or text that no file system can spell
        raise ValueError(f'{kind} {path!r}: no file can have that name ({error})') from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f'{kind} {path} is a folder, a pipe or a device, not a file')
        with os.fdopen(descriptor, 'rb', closefd=False) as file:
            # no more than is there: Python makes room for as much as it is asked to read
            return file.read(min(status.st_size, limit) + 1)
    finally:
        os.close(descriptor)


def read_text(
    path: str | os.PathLike,
    kind: str = 'file',
    limit: int = MAX_LIST_BYTES,
    backend_args: dict | None = None,
) -> str:
    """Read a text in UTF-8, with or without a byte order mark; see :func:`read_bytes`.

    Raises:
        ValueError: If it is in another encoding.
    """
    content = read_bytes(path, limit, kind, backend_args)
    try:
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{kind} {path} is not a text in UTF-8 ({error}); save it as such'
        ) from None


def read_lines(
    path: str | os.PathLike, kind: str = 'file', backend_args: dict | None = None
) -> list[str]:
    """Read the lines of a text that are not blank, without the space around them.

    Lines end as in files, not as :meth:`str.splitlines` has it, for which Unicode has more ends.

    Raises:
        ValueError: See :func:`read_text`.
    """
    text = read_text(path, kind, backend_args=backend_args)
    return [line.strip() for line in re.split(r'[\r\n]', text) if line.strip()]


def read_json(
    path: str | os.PathLike,
    kind: str = 'file',
    limit: int = MAX_LIST_BYTES,
    backend_args: dict | None = None,
) -> Any:
    """Read JSON as its standard has it: no key twice in an object, no NaN, no infinity.

    Of a key that is there twice Python would take the last and say nothing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON, or nested too deeply; see :func:`read_bytes` too.
    """
    text = read_text(path, kind, limit, backend_args)
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f'{kind} {path} is nested too deeply') from None
    except ValueError as error:
        raise ValueError(f'{kind} {path} is not a JSON text file: {error}') from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise ValueError(f'the key {keys.most_common(1)[0][0]!r} is there more than once')
    return found


def _constant(name: str) -> None:
    raise ValueError(f'{name} is no number')
