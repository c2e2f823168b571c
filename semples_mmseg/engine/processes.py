"""Joining the other processes of a job, on GPUs or without any."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from ..utils.errors import Refusal

_SET_BY = dict(
    pytorch=(
        ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
        'torchrun or tools/dist_train.sh',
    ),
    slurm=(('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'), 'srun or tools/slurm_train.sh'),
    mpi=(
        ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
        'mpirun, with MASTER_ADDR set',
    ),
)
# Words in gloo's errors about a lost process; other backends have an error class for it.
_LOST = ('closed by peer', 'reset by peer', 'broken pipe', 'timed out', 'timeout')


@contextlib.contextmanager
def process_group(config: Config) -> Iterator[None]:
    """Join the processes that the config's launcher has started, for the duration of a block.

    MMEngine's Runner joins them only if every process has a GPU. Without GPUs this function joins
    them by gloo, and the model's wrapper gets no device. The config's
    ``env_cfg.dist_cfg.timeout`` (seconds) applies to both.

    Nothing happens without a launcher, or where the processes are joined already.

    Args:
        config: Config of the run. On the CPU its ``model_wrapper_cfg`` is changed.

    Raises:
        OSError: If the launcher has not set what its processes need to find each other.
        ValueError: If this machine has fewer GPUs than processes.
        ConnectionError: If another process dies or does not answer in time.
    """
    launcher = config.get('launcher', 'none')
    if launcher == 'none':
        yield
        return
    on_cpu = get_device() == 'cpu'
    if on_cpu:
        _wrap_on_cpu(config)
    if is_distributed():
        yield
        return
    _check_launch(launcher)
    settings = config.get('env_cfg', {})
    options = dict(settings.get('dist_cfg', {}))
    # The same call as the Runner's later one, which otherwise warns of a change.
    set_multi_processing(**settings.get('mp_cfg', {}), distributed=True)
    try:
        if on_cpu:
            _join_on_cpu(launcher, options)
        else:
            # Other accelerators than CUDA's get rank and size from MMEngine.
            store = _store_of_attempt(options) if get_device() == 'cuda' else {}
            init_dist(launcher, **options, **store)
        yield
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise ConnectionError(
            'another process of this job has died, or gave no answer within '
            f'{options.get("timeout", "the default number of")} seconds '
            '(env_cfg.dist_cfg.timeout). Look for its own message. The same command, for training '
            'with --resume, continues from the saved state'
        ) from error
    distributed.destroy_process_group()


def _wrap_on_cpu(config: Config) -> None:
    """Make the Runner wrap the model for the CPU, with the same options."""
    wrapper = dict(config.get('model_wrapper_cfg') or {})
    if 'find_unused_parameters' in config:
        wrapper.setdefault('find_unused_parameters', config.find_unused_parameters)
    if 'type' not in wrapper:
        # The Runner names a GPU to every wrapper, which PyTorch refuses for a model on the CPU.
        own = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
        wrapper = own | wrapper
    config.model_wrapper_cfg = wrapper


def _check_launch(launcher: str) -> None:
    """Refuse a launcher that did not start this process, or more processes than GPUs."""
    wanted, command = _SET_BY[launcher]
    missing = [name for name in wanted if name not in os.environ]
    if missing:
        raise OSError(
            f'--launcher {launcher} needs {", ".join(missing)} in the environment: start the '
            f'processes with {command}'
        )
    local, gpus = int(os.environ.get('LOCAL_RANK', 0)), torch.cuda.device_count()
    if launcher == 'pytorch' and get_device() == 'cuda' and local >= gpus:
        raise Refusal(
            f'process {local + 1} of this machine has no GPU, there are {gpus}: start fewer, or '
            'set CUDA_VISIBLE_DEVICES= (empty) to run on the CPU'
        )


def _join_on_cpu(launcher: str, options: Mapping[str, Any]) -> None:
    """Do what ``mmengine.dist.init_dist`` does, with gloo and without touching a GPU."""
    env = os.environ
    if launcher == 'slurm':
        env['RANK'], env['WORLD_SIZE'] = env['SLURM_PROCID'], env['SLURM_NTASKS']
        env['LOCAL_RANK'] = env.get('SLURM_LOCALID', '0')
        if 'MASTER_ADDR' not in env:
            hosts = ['scontrol', 'show', 'hostnames', env['SLURM_NODELIST']]
            env['MASTER_ADDR'] = subprocess.check_output(hosts, text=True).split()[0]
    elif launcher == 'mpi':
        env['RANK'], env['WORLD_SIZE'] = env['OMPI_COMM_WORLD_RANK'], env['OMPI_COMM_WORLD_SIZE']
        env['LOCAL_RANK'] = env['OMPI_COMM_WORLD_LOCAL_RANK']
    if 'port' in options:
        env['MASTER_PORT'] = str(options['port'])
    env.setdefault('MASTER_PORT', '29500')  # MMEngine's
    distributed.init_process_group('gloo', **_limit(options), **_store_of_attempt(options))


def _limit(options: Mapping[str, Any]) -> dict[str, Any]:
    """The timeout as a ``timedelta``, if there is one."""
    timeout = options.get('timeout')
    return {} if timeout is None else dict(timeout=timedelta(seconds=timeout))


def _store_of_attempt(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that give each attempt of torchrun on one machine its own part of the store.

    torchrun has one store for all attempts: restarted processes can find the addresses of dead ones
    there, and fail. (Agents of several machines count their attempts differently, so the number
    cannot be used there.)
    """
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT')
    if attempt is None or os.environ.get('GROUP_WORLD_SIZE') != '1':
        return {}
    store, rank, size = next(rendezvous('env://', **_limit(options)))
    return dict(
        store=distributed.PrefixStore(f'attempt{attempt}', store), rank=rank, world_size=size
    )


def _is_loss(error: RuntimeError) -> bool:
    """Whether an error means that another process is gone."""
    text = str(error).lower()
    by_gloo = 'gloo' in text and any(words in text for words in _LOST)
    return by_gloo or isinstance(error, distributed.DistError)
