"""Child processes that end with their parent."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1


def start_child(command: Sequence[str], output: IO[bytes] | None = None) -> subprocess.Popen:
    """Start a command that gets SIGTERM when this process dies (on Linux only).

    Otherwise the command continues beside the one that the next run starts in the same folder.

    Args:
        command: Program and arguments.
        output: File for stdout and stderr.
    """
    errors = None if output is None else subprocess.STDOUT
    linux = sys.platform == 'linux'
    before = functools.partial(_end_with, os.getpid()) if linux else None
    return subprocess.Popen(command, stdout=output, stderr=errors, preexec_fn=before)


def _end_with(parent: int) -> None:
    """Ask the kernel for the signal; runs in the child before the command."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request
        os._exit(1)
