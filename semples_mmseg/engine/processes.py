"""Joining the other processes of a job, on GPUs or without any."""

from __future__ import annotations

import contextlib
import os
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

from ..utils.errors import Refusal, RunError

_TORCHRUN = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


@contextlib.contextmanager
def process_group(config: Config) -> Iterator[None]:
    """Join the processes that the config's launcher has started, for the duration of a block.

    MMEngine's Runner joins them only if every process has a GPU. Without GPUs this function joins
    those of torchrun by gloo, and the model's wrapper gets no device. The config's
    ``env_cfg.dist_cfg.timeout`` (seconds) applies to both.

    Nothing happens without a launcher, or where the processes are joined already.

    Args:
        config: Config of the run. On the CPU its ``model_wrapper_cfg`` is changed.

    Raises:
        Refusal: If torchrun has not started this process, or this machine has fewer GPUs than
            processes, or the launcher is another one and there are no GPUs.
        RunError: If another process dies or does not answer in time, on GPUs.
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
    _check_launch(launcher, on_cpu)
    settings = config.get('env_cfg', {})
    options = dict(settings.get('dist_cfg', {}))
    # The same call as the Runner's later one, which otherwise warns of a change.
    set_multi_processing(**settings.get('mp_cfg', {}), distributed=True)
    try:
        if on_cpu:
            distributed.init_process_group('gloo', **_limit(options), **_store_of_attempt(options))
        else:
            # Other accelerators than CUDA's get rank and size from MMEngine.
            store = _store_of_attempt(options) if get_device() == 'cuda' else {}
            init_dist(launcher, **options, **store)
        yield
    except distributed.DistError as error:
        raise RunError(
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


def _check_launch(launcher: str, on_cpu: bool) -> None:
    """Refuse a launcher that did not start this process, or more processes than GPUs."""
    if launcher != 'pytorch':
        if on_cpu:
            raise Refusal(f'--launcher {launcher} needs GPUs: use torchrun and --launcher pytorch')
        return
    missing = [name for name in _TORCHRUN if name not in os.environ]
    if missing:
        raise Refusal(
            f'--launcher pytorch needs {", ".join(missing)} in the environment: start the '
            'processes with torchrun or tools/dist_train.sh'
        )
    local, gpus = int(os.environ.get('LOCAL_RANK', 0)), torch.cuda.device_count()
    if not on_cpu and get_device() == 'cuda' and local >= gpus:
        raise Refusal(
            f'process {local + 1} of this machine has no GPU, there are {gpus}: start fewer, or '
            'set CUDA_VISIBLE_DEVICES= (empty) to run on the CPU'
        )


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
