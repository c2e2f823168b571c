"""Seconds, floating point operations and peak memory of one version of a path."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from .setting import Setting, Side

ROOT = Path(__file__).parents[1]


def synchronise(device: str) -> None:
    """Wait for a GPU to finish."""
    if device == 'cuda':
        torch.cuda.synchronize()


def peak_flops(device: str, dtype: torch.dtype, toy: bool) -> float:
    """Floating point operations a second of the fastest of ten large (or toy) matrix products."""
    side = 128 if toy else 2048 if device == 'cpu' else 8192
    a, b = torch.randn(2, side, side, device=device, dtype=dtype)
    best = float('inf')
    for _ in range(10):
        synchronise(device)
        start = time.perf_counter()
        a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def interleaved_medians(sides: Mapping[str, Side], device: str, repeats: int) -> dict[str, float]:
    """Median seconds of a call of each side.

    The sides take turns, so that what changes on the machine meanwhile meets them all. A first
    round before the ``repeats`` that count is left out.
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


def resident(key: str) -> int:
    """Bytes of ``VmRSS`` or ``VmHWM`` of this process."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def reset_peak() -> None:
    """Let ``VmHWM`` begin again from what the process uses now (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)  # what building has freed goes back to the system
    Path('/proc/self/clear_refs').write_text('5')


def memory_of_call(side: Side, device: str) -> int:
    """Peak memory in bytes of this process (CPU) or its tensors (GPU) during the second call."""
    side.prepare()
    side()
    gc.collect()
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        side()
        synchronise(device)
        return torch.cuda.max_memory_allocated()
    reset_peak()
    side()
    return resident('VmHWM')


def memory_in_own_process(path: str, side: str, setting: Setting) -> int:
    """``memory_of_call`` in a fresh process that holds this side alone."""
    arguments = json.dumps(dict(path=path, side=side, setting=vars(setting)))
    command = [sys.executable, '-m', 'benchmarks.measuring', arguments]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return int(result.stdout.splitlines()[-1])


def main() -> None:
    """Measure the memory of what the command line names, for ``memory_in_own_process``."""
    from .paths import PATHS  # it imports every model

    wanted: dict[str, Any] = json.loads(sys.argv[1])
    setting = Setting(**wanted['setting'])
    side = PATHS[wanted['path']].sides[wanted['side']](setting)
    print(memory_of_call(side, setting.device))
    side.close()


if __name__ == '__main__':
    main()
