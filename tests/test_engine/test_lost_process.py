"""A process that dies or hangs ends the job; started again, the job goes on where it was."""

import time

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_rank
from processes import draw_images, launch, steps, tool, write_config
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from semples_mmseg.engine.processes import process_group

# Two steps an epoch.
STAGES = [dict(name='match', epochs=2, batch_size=4), dict(name='prompt', epochs=1, batch_size=4)]


def test_a_killed_process_has_the_job_started_again(tmp_path):
    draw_images(tmp_path / 'data', 8)
    hooks = [dict(type='Killer', rank=1, steps=(3,))]
    config = write_config(tmp_path, tmp_path / 'data', STAGES, hooks)
    launch(2, tool, 'train.py', config, '--resume', restarts=1)
    run = tmp_path / 'run'
    # It goes on from the checkpoint of the first epoch.
    assert [step['step'] for step in steps(run, rank=1)] == [0, 1, 2, 2, 3, 4, 5]
    assert (run / 'prompt.pth').exists()


def meet(seconds, timeout):
    """Meet the other processes; the second one comes late."""
    config = Config(dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(timeout=timeout))))
    with process_group(config):
        if get_rank() == 1:
            time.sleep(seconds)
        all_reduce(torch.ones(1))


def test_a_silent_process_ends_the_job_in_time():
    begin = time.monotonic()
    with pytest.raises(ChildFailedError):
        launch(2, meet, 120, 2)
    assert time.monotonic() - begin < 90
