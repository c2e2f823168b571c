"""Atomic writing: a reader sees old or new content, never a part; one run at a time in a folder."""

import contextlib
import errno
import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from .errors import Refusal

# Names that mkstemp makes with the prefix and suffix below.
_LEFTOVER = re.compile(r'\..+\.[a-z0-9_]{8}\.tmp')


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` that replaces it when the block ends without error.

    It is flushed to disk before the rename. ``mode`` is ``'w'`` (text in UTF-8) or ``'wb'``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoding = None if 'b' in mode else 'utf-8'
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp')
    os.close(descriptor)
    try:
        with open(name, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; results get the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        # the system's message does not name the file
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_json(path: str | os.PathLike, content: Any, **options: Any) -> None:
    """Write JSON by ``atomic_write``; options as of ``json.dump``, indented by default.

    NaN and infinity, which JSON has not, become null.
    """
    content = json.loads(json.dumps(content), parse_constant=lambda _: None)
    with atomic_write(path) as file:
        json.dump(content, file, **{'indent': 2, **options})


def check_writable(folder: str | os.PathLike, option: str = '--out') -> None:
    """Make a folder if it is missing, and write a temporary file there; errors name the folder."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=Path(folder)):
            pass
    except (FileExistsError, NotADirectoryError):
        raise Refusal(
            f'the folder {folder} cannot be made, a file is in its place: choose another with '
            f'{option}'
        ) from None
    except OSError as error:
        error.filename = str(folder)
        raise


def remove_leftovers(folder: str | os.PathLike, recursive: bool = False, of: str = '*') -> int:
    """Remove what killed runs have left, or only that of the file ``of``; return the number."""
    pattern = f'{"**/" if recursive else ""}.{of if of == "*" else glob.escape(of)}.????????.tmp'
    found = [path for path in Path(folder).glob(pattern) if _LEFTOVER.fullmatch(path.name)]
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return len(found)


@contextlib.contextmanager
def folder_lock(path: str | os.PathLike) -> Iterator[None]:
    """Lock a folder, which is made if it is missing, so that no second run writes to it.

    The system releases the lock of the file ``.lock`` when the process ends, also a killed one. In
    a job the first process locks. File systems without locks get none.
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
