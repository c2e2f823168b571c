"""Times of the parts of a run, for the forecast of a longer one."""

import time
from functools import partialmethod
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..utils.io import write_json


@HOOKS.register_module()
class StepTimesHook(Hook):
    """Write the moments of a run to a JSON file: ``{"moments": [[name, seconds], ...], ...}``.

    The names are MMEngine's for its hook points; ``megabytes`` is the largest resident memory of
    this process and those it has ended, ``gpu_megabytes`` the most of PyTorch's on its GPU.

    Args:
        out: The file; the main process writes it when training or testing ends.
    """

    priority = 'LOWEST'  # what the other hooks do counts as part of the run

    def __init__(self, out: str) -> None:
        self.out = Path(out)
        self._moments: list[tuple[str, float]] = []

    def note(self, name: str, runner: Runner, **_: Any) -> None:
        """Note a moment; called as each of the hook points."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._moments.append((name, time.monotonic()))
        if name in ('after_train', 'after_test') and is_main_process():
            import resource  # not on Windows

            whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            use = max(resource.getrusage(who).ru_maxrss for who in whose) / 2**10
            gpu = torch.cuda.max_memory_allocated() / 2**20
            noted = dict(moments=self._moments, megabytes=use, gpu_megabytes=gpu)
            write_json(self.out, noted, indent=None)


for _part in ('train', 'train_epoch', 'train_iter', 'val', 'test'):
    for _name in (f'before_{_part}', f'after_{_part}'):
        setattr(StepTimesHook, _name, partialmethod(StepTimesHook.note, _name))
