"""Files of weights for inference and for later stages."""

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu

from ..utils import atomic_write


def bare(model: Any) -> Any:
    """The model without a distributed wrapper."""
    return model.module if is_model_wrapper(model) else model


def save_weights(runner: Runner, name: str) -> None:
    """Write the model's weights to the work folder.

    Unlike a checkpoint to resume from, the file has no optimizer state: tensors, the number of
    epochs and the data set's ``metainfo``. ``torch.load(weights_only=True)`` reads it.

    Args:
        runner: The runner, in training.
        name: Name of the file.
    """
    metainfo = getattr(runner.train_loop.dataloader.dataset, 'metainfo', {})
    checkpoint = dict(
        meta=dict(epoch=runner.epoch, iter=runner.iter, dataset_meta=copy.deepcopy(metainfo)),
        state_dict=weights_to_cpu(bare(runner.model).state_dict()),
    )
    runner.call_hook('before_save_checkpoint', checkpoint=checkpoint)
    save_tensors(runner, checkpoint, name)


def save_tensors(runner: Runner, content: dict[str, Any], name: str) -> None:
    """Write a file to the work folder; all processes can read it afterwards."""
    if is_main_process():
        with atomic_write(Path(runner.work_dir) / name, 'wb') as file:
            torch.save(content, file)
    barrier()
