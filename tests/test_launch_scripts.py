"""The launch scripts call torchrun and srun as MMSeg's do."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / 'tools'


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a script with commands that print what they are given."""
    for name in ('python', 'srun'):
        command = tmp_path / name
        command.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@" "PYTHONPATH=$PYTHONPATH"\n')
        command.chmod(0o755)

    def run(script, *arguments, **environment):
        known = {k: v for k, v in os.environ.items() if k in ('HOME', 'PATH')}
        path = f'{tmp_path}{os.pathsep}{known["PATH"]}'
        result = subprocess.run(
            [TOOLS / script, *arguments],
            env=dict(known, PATH=path, **environment),
            capture_output=True,
            text=True,
        )
        return result.returncode, result.stdout.splitlines(), result.stderr

    return run


TORCHRUN = ['python', '-m', 'torch.distributed.run']


def test_several_gpus(run):
    options = ['--cfg-options', 'a.b=[1, 2]']
    code, words, _ = run('dist_train.sh', 'config.py', '8', '--resume', *options)
    assert code == 0
    assert words == [
        *TORCHRUN,
        *('--nnodes=1', '--node_rank=0', '--master_addr=127.0.0.1', '--master_port=29500'),
        *('--nproc_per_node=8', '--max_restarts=0', f'{TOOLS}/train.py', 'config.py'),
        *('--launcher', 'pytorch', '--resume', *options),
        f'PYTHONPATH={TOOLS}/..',
    ]
    code, words, _ = run('dist_test.sh', 'config.py', 'model.pth', '2', '--tta')
    assert code == 0 and words[:3] == TORCHRUN and '--nproc_per_node=2' in words
    assert words[-7:-1] == [
        *(f'{TOOLS}/test.py', 'config.py', 'model.pth', '--launcher', 'pytorch', '--tta')
    ]


def test_several_machines(run):
    machines = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='node1', PORT='4000', MAX_RESTARTS='3')
    for script, *arguments in (
        ('dist_train.sh', 'config.py', '8'),
        ('dist_test.sh', 'config.py', 'model.pth', '8'),
    ):
        _, words, _ = run(script, *arguments, PYTHONPATH='/other', **machines)
        wanted = {'--nnodes=2', '--node_rank=1', '--master_addr=node1', '--master_port=4000'}
        assert wanted <= set(words)
        assert ('--max_restarts=3' in words) == (script == 'dist_train.sh')
        assert words[-1] == f'PYTHONPATH={TOOLS}/..:/other'  # the checkout comes first


def test_slurm(run):
    settings = dict(GPUS='16', GPUS_PER_NODE='8', CPUS_PER_TASK='3', SRUN_ARGS='--exclusive -t 9')
    code, words, _ = run('slurm_train.sh', 'gpus', 'job', 'config.py', '--amp', **settings)
    assert code == 0
    assert words[:-1] == [
        *('srun', '-p', 'gpus', '--job-name=job', '--gres=gpu:8', '--ntasks=16'),
        *('--ntasks-per-node=8', '--cpus-per-task=3', '--kill-on-bad-exit=1'),
        *('--exclusive', '-t', '9', 'python', '-u', f'{TOOLS}/train.py', 'config.py'),
        *('--launcher', 'slurm', '--amp'),
    ]
    code, words, _ = run('slurm_test.sh', 'gpus', 'job', 'config.py', 'model.pth', '--crf')
    assert code == 0 and {'--gres=gpu:4', '--ntasks=4', '--cpus-per-task=5'} <= set(words)
    assert words[-7:-1] == [
        *(f'{TOOLS}/test.py', 'config.py', 'model.pth', '--launcher', 'slurm', '--crf')
    ]


@pytest.mark.parametrize(
    ('script', 'given'),
    [
        ('dist_train.sh', ['config.py']),
        ('dist_test.sh', ['config.py', 'model.pth']),
        ('slurm_train.sh', ['gpus', 'job']),
        ('slurm_test.sh', ['gpus', 'job', 'config.py']),
    ],
)
def test_too_few_arguments(run, script, given):
    code, words, error = run(script, *given)
    assert code == 2 and not words and error.startswith('usage: ')
