"""Seconds, floating point operations and peak memory of one version of a path."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from .machine import synchronise
from .setting import Setting, Side

ROOT = Path(__file__).parents[1]
_STATUS = Path('/proc/self/status')
_CLEAR_REFS = Path('/proc/self/clear_refs')


def interleaved_medians(
    sides: Mapping[str, Side], device: str, repeats: int, done: Callable[[], None]
) -> dict[str, float]:
    """Median seconds of a call of each side.

    The sides take turns, so that what changes on the machine meanwhile meets them all. A first
    round is not counted.

    Args:
        sides: What to call, by name.
        device: Whose work is waited for.
        repeats: Rounds that count.
        done: Called after each call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            side.prepare()
            synchronise(device)
            start = time.perf_counter()
            side()
            synchronise(device)
            if turn:
                seconds[name].append(time.perf_counter() - start)
            done()
    return {name: statistics.median(values) for name, values in seconds.items()}


def count_flops(side: Side) -> int:
    """Floating point operations of the matrix products and convolutions of one call."""
    side.prepare()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operator that the counter does not know
    try:
        with FlopCounterMode(display=False) as counter:
            side()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    return counter.get_total_flops()


def _resident(key: str) -> int:
    """Bytes of ``VmRSS`` or ``VmHWM`` of this process."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def memory_of_call(side: Side, device: str) -> dict[str, int]:
    """Memory of this process (CPU) or of its tensors (GPU) around a call, the second one.

    Returns:
        ``peak`` during the call, and ``before`` it: weights, optimizer, inputs, on a CPU Python
        and its libraries too. Where the peak of a process cannot be reset (anything but Linux),
        it is that since its start.
    """
    side.prepare()
    side()
    gc.collect()
    if device == 'cuda':
        synchronise(device)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        side()
        synchronise(device)
        return dict(peak=torch.cuda.max_memory_allocated(), before=before)
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)  # what building has freed goes back to the system
    try:
        _CLEAR_REFS.write_text('5')
        before = _resident('VmRSS')
        side()
        return dict(peak=_resident('VmHWM'), before=before)
    except OSError:
        side()
        return dict(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, before=0)


def memory_in_own_process(path: str, side: str, setting: Setting) -> dict[str, int]:
    """``memory_of_call`` in a fresh process that holds this side alone.

    Raises:
        RuntimeError: If the process fails; with the end of its output.
    """
    arguments = json.dumps(dict(path=path, side=side, setting=vars(setting)))
    command = [sys.executable, '-m', 'benchmarks.measuring', arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        end = (result.stderr or result.stdout)[-2000:]
        raise RuntimeError(f'measuring the memory of {path}, {side}, failed:\n{end}')
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    """Measure the memory of what the command line names, for ``memory_in_own_process``."""
    from .paths import PATHS  # it imports every model

    wanted: dict[str, Any] = json.loads(sys.argv[1])
    setting = Setting(**wanted['setting'])
    side = PATHS[wanted['path']].build(wanted['side'], setting)
    print(json.dumps(memory_of_call(side, setting.device)))
    side.close()


if __name__ == '__main__':
    main()
