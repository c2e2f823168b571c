"""Files of weights for inference and for later stages."""

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu

from ..utils.files import file_digest
from ..utils.io import atomic_write


def bare(model: Any) -> Any:
    """The model without a distributed wrapper."""
    return model.module if is_model_wrapper(model) else model


def save_weights(runner: Runner, name: str) -> str:
    """Write weights and the data set's ``metainfo`` to the work folder; return the digest."""
    metainfo = getattr(runner.train_loop.dataloader.dataset, 'metainfo', {})
    checkpoint = dict(
        meta=dict(epoch=runner.epoch, iter=runner.iter, dataset_meta=copy.deepcopy(metainfo)),
        state_dict=weights_to_cpu(bare(runner.model).state_dict()),
    )
    runner.call_hook('before_save_checkpoint', checkpoint=checkpoint)
    return save_tensors(runner, checkpoint, name)


def save_tensors(runner: Runner, content: dict[str, Any], name: str) -> str:
    """Write a file to the work folder, which all processes can read then; return its digest."""
    path = Path(runner.work_dir) / name
    if is_main_process():
        with atomic_write(path, 'wb') as file:
            torch.save(content, file)
    barrier()
    return file_digest(path)
