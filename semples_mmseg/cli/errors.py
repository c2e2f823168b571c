"""How the command line tools end when something fails: a message with the fix, and an exit code.

``Refusal``, and a type that is not registered: 2. ``RunError``: 1. Ctrl-C: 130, SIGTERM: 143.
If the machine fails (disk, memory, a worker): 1, with traceback and advice; a bug: 1, traceback.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from ..utils.errors import Refusal, RunError

_TOOLS = dict(
    again='Run the same command again, for training with --resume',
    fewer='fewer workers, --cfg-options train_dataloader.num_workers=1 (the same for val, test '
    'and pseudo_mask), or a smaller batch',
    elsewhere='choose another folder with --work-dir (results: --out)',
    gpu='Lower the batch size, train with --amp, let CLIP encode fewer masked images at a time '
    '(--cfg-options model.image_head.max_batch=16), or see',
    where='With --cfg-options train_dataloader.num_workers=0 (the same for val, test and '
    'pseudo_mask) the traceback shows where',
)
_VERBS = dict(
    again='Run the same command again',
    fewer='smaller photos, or end other programs',
    elsewhere='choose another folder',
    gpu='Use the CPU (put CUDA_VISIBLE_DEVICES= before the command), or see',
    where='Please report it, with what semples-mmseg doctor prints',
)
"""What the tools, and ``semples-mmseg``, can do: their messages name no option of the other."""

_NO_MEMORY = 'the machine, or the job, has no memory left. Use {fewer}'
_FULL = 'the disk is full, or your share of it. Make room, or {elsewhere}'
_DENIED = 'permission denied. Change owner or mode (ls -l shows them), or {elsewhere}'
_LEAST_SHARED = 2**20  # bytes
_NO_SHARED = (
    'the workers of a data loader have no room left in shared memory (/dev/shm). Make it '
    'larger (docker run --shm-size=8g, or --ipc=host), or use {fewer}'
)
_BY_TEXT = {
    r'CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED': (
        'the GPU is out of memory. {gpu} with nvidia-smi which other processes use the GPU'
    ),
    r'shared memory|Bus error|unable to write to file </torch_': _NO_SHARED,
    r'DataLoader worker \(pid.*?\) (is killed by signal: Killed|exited)': (
        'a worker of a data loader was killed. Most likely the machine, or the job, has run out '
        'of memory (see dmesg). Use more memory, {fewer}'
    ),
    r'DataLoader worker \(pid.*?\) is killed by signal': (
        'a worker of a data loader crashed. {where}'
    ),
    r"(?i)can(no|')t allocate memory": _NO_MEMORY,
    r'PytorchStreamWriter failed|unexpected pos ': _FULL,
}
_BY_NUMBER = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: 'a file is larger than allowed (ulimit -f). Raise the limit, or {elsewhere}',
    errno.EROFS: 'the file system is read-only. Mount it to be written, or {elsewhere}',
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EMFILE: 'too many files are open. Raise the limit (ulimit -n 4096)',
}


class Terminated(KeyboardInterrupt):
    """The process was sent SIGTERM."""


@contextlib.contextmanager
def exit_codes(tool: bool = True) -> Iterator[None]:
    """End the program by ``SystemExit`` as said above; a context for the whole work of a command.

    SIGTERM becomes an exception, as Ctrl-C does, so that temporary files are removed. In a job of
    several processes it ends the process at once, because a process that waits for the others
    handles no exception.

    Args:
        tool: Whether it is one of ``tools``; messages name only options of these, or of the others.
    """
    before = signal.getsignal(signal.SIGTERM)
    again = 'Saved files are complete. ' + (_TOOLS if tool else _VERBS)['again']
    if _processes() == 1:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as error:
        by, code = ('SIGTERM', 143) if isinstance(error, Terminated) else ('Ctrl-C', 130)
        _end(f'stopped: by {by}. {again}', code, error)
    except Refusal as error:
        _end(f'error: {error}', 2, error)
    except RunError as error:
        _end(f'error: {error}', 1, error)
    except Exception as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else ''
        if re.match(r'\S+ is not in the \S+ registry', text):
            _end(f'error: {text}', 2, error)  # MMEngine's, which names the type
        known = advice(error, tool)
        if known is None:
            raise
        traceback.print_exception(error)
        _end(f'error: {known}. {again}', 1, error)
    finally:
        signal.signal(signal.SIGTERM, before)


def advice(error: BaseException, tool: bool = True) -> str | None:
    """What has failed in the machine and what to do about it; ``None`` for other errors."""
    ways = _TOOLS if tool else _VERBS
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None:
        chain.append(following)
        hidden = None if following.__suppress_context__ else following.__context__
        following = following.__cause__ or hidden
    for pattern, text in _BY_TEXT.items():
        if any(isinstance(part, RuntimeError) and re.search(pattern, str(part)) for part in chain):
            return text.format(**ways)
    for part in chain:
        if isinstance(part, MemoryError):
            return _NO_MEMORY.format(**ways)
        if isinstance(part, OSError) and part.errno in _BY_NUMBER:
            shared = Path('/dev/shm')  # has the semaphores of Python, whose errors name no file
            unnamed = part.errno == errno.ENOSPC and part.filename is None and shared.is_dir()
            if unnamed and shutil.disk_usage(shared).free < _LEAST_SHARED:
                return _NO_SHARED.format(**ways)
            at = '' if part.filename is None else f'{os.fsdecode(part.filename)}: '
            return at + _BY_NUMBER[part.errno].format(**ways)
    return None


def _processes() -> int:
    return int(os.environ.get('WORLD_SIZE') or 1)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def _end(text: str, code: int, error: BaseException) -> NoReturn:
    which = f'[process {os.environ.get("RANK")}] ' if _processes() > 1 else ''
    # Control characters of a name in a file would command the terminal.
    text = re.sub(r'[\x00-\x08\x0b-\x1f\x7f-\x9f]', lambda c: ascii(c[0])[1:-1], text)
    print(which + text, file=sys.stderr, flush=True)
    raise SystemExit(code) from error
