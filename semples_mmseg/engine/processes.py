"""Joining the other processes of a job, and sharing its images with them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed
from torch.distributed.rendezvous import rendezvous
from torch.utils.data import DataLoader

from ..utils.errors import Refusal, RunError


@contextmanager
def process_group(config: Config) -> Iterator[None]:
    """Join the processes that the config's launcher has started, for the duration of a block.

    It works without GPUs too, where MMEngine's Runner does not. Nothing happens without a launcher.
    """
    launcher, device = config.get('launcher', 'none'), get_device()
    if launcher != 'none' and device == 'cpu':
        if config.get('sync_bn') or 'SyncBN' in str(config.get('model')):
            raise Refusal('SyncBN of several processes needs GPUs: on CPUs set sync_bn=None, or BN')
        _wrap_on_cpu(config)
    if launcher == 'none' or is_distributed():
        yield
        return
    if 'RANK' not in os.environ and (launcher == 'pytorch' or device == 'cpu'):
        raise Refusal(
            f'--launcher {launcher}, but nothing has set RANK in the environment: start with '
            'torchrun or tools/dist_train.sh, and --launcher pytorch'
        )
    local, gpus = int(os.environ.get('LOCAL_RANK', 0)), torch.cuda.device_count()
    if launcher == 'pytorch' and device == 'cuda' and local >= gpus:
        raise Refusal(
            f'process {local + 1} of this machine has no GPU, there are {gpus}: start fewer, or '
            'set CUDA_VISIBLE_DEVICES= (empty) to run on the CPU'
        )
    settings = config.get('env_cfg', {})
    # The same call as the Runner's later one, which otherwise warns of a change.
    set_multi_processing(**settings.get('mp_cfg', {}), distributed=True)
    options = dict(settings.get('dist_cfg', {}))
    seconds = options.get('timeout')
    limit: dict[str, Any] = dict(timeout=timedelta(seconds=seconds)) if seconds else {}
    try:
        if device == 'cpu':
            distributed.init_process_group('gloo', **limit, **_store_of_attempt(limit))
        else:
            # Other accelerators than CUDA's get rank and size from MMEngine.
            store = _store_of_attempt(limit) if device == 'cuda' else {}
            init_dist(launcher, **options, **store)
        yield
    except distributed.DistError as error:
        raise RunError(
            'another process of this job has died, or gave no answer within '
            'env_cfg.dist_cfg.timeout. Look for its own message. The same command, for training '
            'with --resume, continues from the saved state'
        ) from error
    distributed.destroy_process_group()


def _wrap_on_cpu(config: Config) -> None:
    """Make the Runner, which names a GPU to every wrapper, wrap the model for the CPU."""
    given = dict(config.get('model_wrapper_cfg') or {})
    if 'find_unused_parameters' in config:
        given.setdefault('find_unused_parameters', config.find_unused_parameters)
    own = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
    config.model_wrapper_cfg = given if 'type' in given else own | given


def _store_of_attempt(limit: dict[str, Any]) -> dict[str, Any]:
    """Options that give each attempt of torchrun on one machine its own part of the store."""
    # Restarted processes can find the addresses of dead ones in the store of all attempts. (Agents
    # of several machines count their attempts differently.)
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT')
    if attempt is None or os.environ.get('GROUP_WORLD_SIZE') != '1':
        return {}
    store, rank, size = next(rendezvous('env://', **limit))
    store = distributed.PrefixStore(f'attempt{attempt}', store)
    return dict(store=store, rank=rank, world_size=size)


def steps_of_epoch(loader: DataLoader, size: int) -> int:
    """Steps of an epoch with ``size`` images a step of this process."""
    sampler = loader.sampler
    if loader.drop_last and isinstance(sampler, DefaultSampler):
        return len(sampler.dataset) // (size * sampler.world_size)
    images = len(sampler)  # type: ignore[arg-type]
    return images // size if loader.drop_last else -(-images // size)


def keep_whole_batches(loader: DataLoader) -> None:
    """Let all processes together see the batches of a single one, which drops incomplete ones."""
    # DefaultSampler distributes images one by one. At the end of an epoch it repeats some, which
    # can complete a batch that a single process drops.
    sampler, size = loader.sampler, loader.batch_size
    if loader.drop_last and size and isinstance(sampler, DefaultSampler):
        sampler.round_up = False
        sampler.num_samples = steps_of_epoch(loader, size) * size
        sampler.total_size = sampler.num_samples * sampler.world_size
