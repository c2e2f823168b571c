"""One run at a time in a folder."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Refusal

if TYPE_CHECKING:
    from .shards import Shard

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None  # type: ignore[assignment]

_NAME = '.lock'
# Bytes of the file that are locked: all, or that of a part. They lie behind its text, because
# Windows prevents other processes from reading locked bytes, and need not exist.
_FIRST, _LENGTH = 2**20, 2**20
_held: set[Path] = set()


@contextlib.contextmanager
def folder_lock(path: str | os.PathLike, shard: Shard | None = None) -> Iterator[None]:
    """Lock a folder for the duration of a block, so that no second run writes to it.

    The kernel locks a range of the file ``.lock`` in the folder and releases it when the process
    ends, also when it is killed. The file stays. In a job of several processes the first one locks.
    A process may lock a folder that it already holds. File systems without locks get none.

    Args:
        path: The folder; it is made if it does not exist.
        shard: A part of a run. Other parts may hold the folder at the same time; the same part or a
            whole run may not.

    Raises:
        ValueError: If another process holds the folder.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    first = int(os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or 0) == 0
    if not first or folder in _held:
        yield
        return
    (folder / _NAME).touch()
    with open(folder / _NAME, 'r+', encoding='utf-8') as file:
        start, length = (_FIRST, _LENGTH) if shard is None else (_FIRST + shard.number, 1)
        try:
            _lock(file.fileno(), start, length)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise Refusal(
                    f'another run is working in {folder} (process '
                    f'{file.read().strip() or "unknown"} began last): wait for its end, or choose '
                    'another folder'
                ) from None
        file.seek(0)
        file.write(f'{os.getpid():<20}')
        file.flush()
        _held.add(folder)
        try:
            yield
        finally:
            _held.discard(folder)
            _unlock(file.fileno(), start, length)


def _lock(file: int, start: int, length: int) -> None:
    if fcntl is not None:
        # Unlike flock's, this lock is not shared with loader workers, which may live longer.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
    else:
        os.lseek(file, start, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, length)  # type: ignore[attr-defined]


def _unlock(file: int, start: int, length: int) -> None:
    if fcntl is None:  # Windows releases it some time after the file is closed
        os.lseek(file, start, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, length)  # type: ignore[attr-defined]
