"""Joining the processes of torchrun on a machine without a GPU, and refusals."""

import socket

import pytest
from mmengine.config import Config
from mmengine.dist import get_backend, is_distributed

from semples_mmseg.engine import processes as module
from semples_mmseg.engine.processes import process_group
from semples_mmseg.utils.errors import RunError

WRAPPER = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    """No GPU, and nothing in the environment that a launcher would set."""
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(name, '')  # put back afterwards what is set meanwhile
        monkeypatch.delenv(name)


@pytest.fixture
def launched(monkeypatch):
    """What torchrun sets for the only process of a job."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    given = dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1')
    for name, value in dict(given, MASTER_PORT=port).items():
        monkeypatch.setenv(name, value)
    yield
    if is_distributed():
        module.distributed.destroy_process_group()


@pytest.mark.parametrize(
    'content', [dict(sync_bn='torch'), dict(model=dict(norm_cfg=dict(type='SyncBN')))]
)
def test_synchronised_batch_norm_is_refused_on_cpus(content):
    config = Config(dict(content, launcher='pytorch'))
    needs = pytest.raises(ValueError, match='SyncBN of several processes needs GPUs')
    with needs, process_group(config):
        pass


def test_processes_join_by_gloo_and_leave(launched):
    dist = dict(backend='nccl', timeout=9)
    config = Config(dict(launcher='pytorch', env_cfg=dict(dist_cfg=dist)))
    with process_group(config):
        assert get_backend() == 'gloo'
        with process_group(config):  # joined already
            pass
        assert is_distributed()
    assert not is_distributed()
    assert config.model_wrapper_cfg == WRAPPER


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_a_launcher_that_has_not_launched(launcher):
    message = f'--launcher {launcher}.* torchrun'
    with pytest.raises(ValueError, match=message), process_group(Config(dict(launcher=launcher))):
        pass


def test_more_processes_than_gpus(launched, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '2')
    monkeypatch.setattr(module, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(module.torch.cuda, 'device_count', lambda: 2)
    with (
        pytest.raises(ValueError, match='process 3 of this machine has no GPU, there are 2'),
        process_group(Config(dict(launcher='pytorch'))),
    ):
        pass


@pytest.mark.parametrize(
    ('error', 'kind', 'words'),
    [
        (module.distributed.DistBackendError('nccl'), RunError, 'env_cfg.dist_cfg.timeout'),
        (RuntimeError('sizes differ'), RuntimeError, 'sizes differ'),
    ],
)
def test_a_lost_process_is_told_from_errors_of_this_one(launched, error, kind, words):
    with (
        pytest.raises(RuntimeError, match=words) as raised,
        process_group(Config(dict(launcher='pytorch'))),
    ):
        raise error
    assert type(raised.value) is kind
