"""What a measurement ran on, and how fast that can multiply matrices."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from semples_mmseg import __version__, environment

_PACKAGES = (
    'torchvision',
    'open_clip_torch',
    'numpy',
    'pydensecrf2',
    'pydensecrf',
)


def processor() -> str:
    """Model name of the CPU."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()


def synchronise(device: str) -> None:
    """Wait for a GPU to finish."""
    if device == 'cuda':
        torch.cuda.synchronize()


def describe(device: str) -> dict[str, Any]:
    """Machine and versions, for the report."""
    versions = dict(
        python=platform.python_version(),
        semples_mmseg=__version__,
        torch=torch.__version__,
        **environment.installed(),
    )
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(
        cpu=processor(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if device == 'cuda' else None,
        versions=versions,
    )


def peak_flops(device: str, dtype: torch.dtype, toy: bool) -> float:
    """Floating point operations a second of the fastest of ten large matrix products.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
        dtype: Of the matrices.
        toy: Whether small ones will do.
    """
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
