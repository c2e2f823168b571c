"""Joining processes under each launcher on a machine without a GPU, and refusals."""

import os
import socket

import pytest
from mmengine.config import Config
from mmengine.dist import get_backend, is_distributed

from semples_mmseg.engine import processes as module
from semples_mmseg.engine.processes import process_group

ENVIRONMENTS = dict(
    pytorch=dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1'),
    slurm=dict(SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_NODELIST='node[1-2]'),
    mpi=dict(
        OMPI_COMM_WORLD_RANK='0',
        OMPI_COMM_WORLD_SIZE='1',
        OMPI_COMM_WORLD_LOCAL_RANK='0',
        MASTER_ADDR='127.0.0.1',
    ),
)
WRAPPER = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    """No GPU, and nothing in the environment that a launcher would set."""
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'OMPI_', 'MASTER_')) or name.endswith(('RANK', 'WORLD_SIZE')):
            monkeypatch.delenv(name)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '')  # put back afterwards what is set meanwhile
        monkeypatch.delenv(name)


@pytest.mark.parametrize('launcher', ENVIRONMENTS)
def test_processes_join_by_gloo_and_leave(launcher, monkeypatch, tmp_path):
    for name, value in ENVIRONMENTS[launcher].items():
        monkeypatch.setenv(name, value)
    if launcher == 'slurm':
        scontrol = tmp_path / 'scontrol'
        scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames node[1-2]" ] && echo 127.0.0.1\n')
        scontrol.chmod(0o755)
        monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        monkeypatch.setenv('MASTER_PORT', str(free.getsockname()[1]))
    dist = dict(backend='nccl', timeout=9)
    config = Config(dict(launcher=launcher, env_cfg=dict(dist_cfg=dist)))
    with process_group(config):
        assert get_backend() == 'gloo'
        with process_group(config):  # joined already
            pass
        assert is_distributed()
    assert not is_distributed()
    assert config.model_wrapper_cfg == WRAPPER


def test_without_a_launcher_nothing_happens():
    config = Config(dict(launcher='none'))
    with process_group(config):
        assert not is_distributed()
    assert config.to_dict() == dict(launcher='none')


def test_options_of_the_wrapper_are_kept(monkeypatch):
    monkeypatch.setattr(module, 'is_distributed', lambda: True)
    for given, expected in (
        (dict(find_unused_parameters=True), dict(WRAPPER, find_unused_parameters=True)),
        (dict(model_wrapper_cfg=dict(static_graph=True)), dict(WRAPPER, static_graph=True)),
        (dict(model_wrapper_cfg=dict(type='Own')), dict(type='Own')),
    ):
        config = Config(dict(launcher='pytorch', **given))
        with process_group(config):
            pass
        assert config.model_wrapper_cfg == expected


@pytest.mark.parametrize(
    ('launcher', 'message'),
    [
        ('pytorch', '--launcher pytorch needs RANK, .*MASTER_PORT in the environment: .*torchrun'),
        ('slurm', 'needs SLURM_PROCID, SLURM_NTASKS, SLURM_NODELIST .*tools/slurm_train.sh'),
        ('mpi', 'needs OMPI_COMM_WORLD_RANK, .*mpirun'),
    ],
)
def test_a_launcher_that_has_not_launched(launcher, message):
    with pytest.raises(OSError, match=message), process_group(Config(dict(launcher=launcher))):
        pass


def test_more_processes_than_gpus(monkeypatch):
    for name, value in dict(ENVIRONMENTS['pytorch'], LOCAL_RANK='2', MASTER_PORT='1').items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(module.torch.cuda, 'device_count', lambda: 2)
    with (
        pytest.raises(ValueError, match='process 3 of this machine has no GPU, there are 2'),
        process_group(Config(dict(launcher='pytorch'))),
    ):
        pass


def test_errors_of_this_process_stay_as_they_are(monkeypatch):
    for name, value in ENVIRONMENTS['pytorch'].items():
        monkeypatch.setenv(name, value)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        monkeypatch.setenv('MASTER_PORT', str(free.getsockname()[1]))
    with (
        pytest.raises(RuntimeError, match='sizes differ'),
        process_group(Config(dict(launcher='pytorch'))),
    ):
        raise RuntimeError('sizes differ')
    module.distributed.destroy_process_group()
