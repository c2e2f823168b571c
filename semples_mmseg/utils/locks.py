"""One run at a time in a folder."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shards import Shard

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NAME = '.lock'
_held: set[Path] = set()


@contextlib.contextmanager
def folder_lock(path: str | os.PathLike, shard: Shard | None = None) -> Iterator[None]:
    """Hold a folder for the time of a block, so that no second run writes to it.

    The kernel locks the file ``.lock`` in the folder and releases it when the process ends, also
    when it is killed. The file stays. In a job of several processes the first one locks. A process
    may lock a folder that it already holds. There is no lock on Windows and on file systems
    without locks.

    Args:
        path: The folder; it is made if it does not exist.
        shard: A part of a run. Other parts may hold the folder at the same time, the same part
            and a whole run may not.

    Raises:
        ValueError: If another process holds the folder.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    first = int(os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or 0) == 0
    if fcntl is None or not first or folder in _held:
        yield
        return
    with contextlib.ExitStack() as files:
        if shard is None:
            files.enter_context(_locked(folder / _NAME, fcntl.LOCK_EX))
        else:
            files.enter_context(_locked(folder / _NAME, fcntl.LOCK_SH))
            own = folder / f'{_NAME}-{shard.number}-of-{shard.total}'
            files.enter_context(_locked(own, fcntl.LOCK_EX))
        _held.add(folder)
        try:
            yield
        finally:
            _held.discard(folder)


@contextlib.contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with open(path, 'a+', encoding='utf-8') as file:
        try:
            # Unlike flock's, this lock is not shared with loader workers, which may live longer.
            fcntl.lockf(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise ValueError(
                    f'another run is at work in {path.parent} (process '
                    f'{file.read() or "unknown"}): wait for its end, or choose another folder'
                ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
