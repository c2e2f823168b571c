"""One run at a time in a folder."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import Refusal


@contextlib.contextmanager
def folder_lock(path: str | os.PathLike) -> Iterator[None]:
    """Lock a folder, which is made if it is missing, so that no second run writes to it.

    The system locks the file ``.lock`` in the folder and releases it when the process ends, also
    when it is killed. In a job of several processes the first one locks. A process may lock a
    folder that it already holds. File systems without locks get none.

    Raises:
        Refusal: If another process holds the folder.
        OSError: If ``.lock`` is a link, which is not followed.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with contextlib.ExitStack() as held:
        if int(os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or 0) == 0:
            # One lock per path, counted: the process may take it again.
            lock = FileLock(folder / '.lock', timeout=0, thread_local=False, is_singleton=True)
            try:
                held.enter_context(lock)
            except Timeout:
                raise Refusal(
                    f'another run is working in {folder}: wait for its end, or choose another '
                    'folder'
                ) from None
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
        yield
