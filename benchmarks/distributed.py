"""Our step of stage (c) with its batch divided among processes of one machine, over gloo."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .measuring import ROOT, interleaved_medians
from .models import clip_file
from .setting import Setting
from .steps import OurStep


class _Losses(nn.Module):
    """A model whose ``forward`` is its ``loss``, for the wrapper that adds up gradients."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, samples: list) -> dict[str, Tensor]:
        return self.model.loss(images, samples)


class DividedStep(OurStep):
    """The step of one of several processes, each with its part of the images."""

    def __init__(self, setting: Setting, stage: str) -> None:
        super().__init__(setting, stage)
        self.wrapped = DistributedDataParallel(_Losses(self.model))

    def forward(self) -> tuple[dict[str, Tensor], object]:
        return self.wrapped(self.images, self.samples), None


def seconds_of_step(setting: Setting, processes: int, repeats: int) -> float:
    """Median seconds of a step whose images and threads are divided among processes.

    Raises:
        RuntimeError: If a process fails; with the end of its output.
    """
    clip_file(setting)  # written once, not by each process
    threads = max(1, torch.get_num_threads() // processes)
    part = replace(setting, batch=max(1, setting.batch // processes))
    with tempfile.TemporaryDirectory(prefix='semples-processes-') as folder:
        wanted: dict[str, Any] = dict(
            setting=vars(part),
            processes=processes,
            threads=threads,
            repeats=repeats,
            meeting=f'file://{folder}/meeting',
        )
        command = [sys.executable, '-m', 'benchmarks.distributed']
        running = [
            subprocess.Popen(
                [*command, json.dumps(dict(wanted, rank=rank))],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank in range(processes)
        ]
        try:
            output = [process.communicate()[0] for process in running]
        finally:
            for process in running:
                process.kill()
    for process, text in zip(running, output, strict=True):
        if process.returncode:
            raise RuntimeError(f'a process of a divided step failed:\n{text[-2000:]}')
    return float(output[0].splitlines()[-1])


def main() -> None:
    """Be one of the processes of ``seconds_of_step``."""
    wanted: dict[str, Any] = json.loads(sys.argv[1])
    torch.set_num_threads(wanted['threads'])
    dist.init_process_group(
        'gloo',
        init_method=wanted['meeting'],
        rank=wanted['rank'],
        world_size=wanted['processes'],
    )
    step = DividedStep(Setting(**wanted['setting']), 'refine')
    medians = interleaved_medians({'': step}, 'cpu', wanted['repeats'], lambda: None)
    dist.destroy_process_group()
    print(medians[''])


if __name__ == '__main__':
    main()
