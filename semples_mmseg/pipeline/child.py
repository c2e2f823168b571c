"""Child processes that do not outlive this one."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1


def run_child(command: Sequence[str]) -> int:
    """Run a command and wait for it.

    If this process is killed, the command is ended too (on Linux; elsewhere it goes on). It would
    otherwise work on beside the one that a second try starts, in the same folder.

    Args:
        command: Program and arguments.

    Returns:
        Exit code.
    """
    return subprocess.run(command, check=False, preexec_fn=_end_with_parent()).returncode


def _end_with_parent() -> Callable[[], None] | None:
    """What a new child does before it becomes the command."""
    if sys.platform != 'linux':
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def prepare() -> None:
        # SIGTERM, so that a launcher of several processes can end those.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed meanwhile
            os._exit(1)

    return prepare
