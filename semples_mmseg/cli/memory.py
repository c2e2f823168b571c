"""What a training step keeps in memory, and which options make it less."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call


@contextlib.contextmanager
def memory_explained(runner: Runner) -> Iterator[None]:
    """Say what lowers the memory of training, and by how much, if a GPU runs out of it.

    Raises:
        MemoryError: In the place of PyTorch's error, which is its cause.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise MemoryError(memory_advice(runner)) from error


def kept_for_backward(module: nn.Module, size: tuple[int, ...]) -> int:
    """Bytes that one forward pass keeps for the backward pass, in float32.

    The pass runs without data and takes no memory itself. Parameters do not count.

    Args:
        module: Its parameters' ``requires_grad`` decides what is kept.
        size: Of the input, whose gradient is wanted.
    """
    names: dict[int, str] = {}
    empty: dict[str, Tensor] = {}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        empty[name] = torch.empty_like(tensor, device='meta').requires_grad_(tensor.requires_grad)
        names[empty[name].untyped_storage()._cdata] = name
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in names:
            kept[tensor.untyped_storage()._cdata] = tensor  # held, or its address comes again
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        functional_call(module, empty, torch.empty(size, device='meta', requires_grad=True))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def memory_advice(runner: Runner) -> str:
    """What a run's step keeps, and options that lower it, with their price.

    Args:
        runner: A training run.
    """
    model: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
    loader: Any = runner.train_dataloader
    batch = loader.batch_size or 1
    stage = runner.message_hub.get_info('stage')
    of_stage = f' of stage {stage}' if stage else ''
    facts = [f'the GPU is out of memory, with {batch} images a step on it{of_stage}']
    options = []
    if not hasattr(runner.optim_wrapper, 'loss_scaler'):
        options.append('--amp: about half of it')
    if getattr(model, 'image_head', None) is not None:
        parts, option = _of_clip(runner, model, batch)
        facts += parts
        options += option
    if batch > 1:
        options.append(_of_batch(runner, batch))
    options.append(
        f'more processes for one global batch (tools/dist_train.sh CONFIG {2 * get_world_size()}): '
        'half of it each, the same result'
        if stage
        else '--cfg-options optim_wrapper.accumulative_counts=2 with half the batch: the same step'
    )
    options.append('nvidia-smi shows who else has a share of the GPU')
    return (
        f'{". ".join(facts)}. What lowers it:\n  '
        + '\n  '.join(options)
        + '\nWhat was saved is whole: the same command with --resume goes on from there'
    )


def _of_clip(runner: Runner, model: Any, batch: int) -> tuple[list[str], list[str]]:
    """The pairs' part."""
    head, pairs = model.image_head, _pairs_per_image(runner.train_dataloader.dataset) * batch
    if model.stage.losses == ('classification',):
        return [], []
    prompt_alone = model.stage.losses == ('prompt',)
    images = round(pairs * (1 if prompt_alone else 2))
    if prompt_alone:
        return [f'CLIP encodes about {images} masked images, keeping nothing of them'], []
    each = kept_for_backward(head.encoder.network, (1, 3, *head.input_size)) / 2**20
    now = min(images, head.max_batch or images)
    fact = (
        f'CLIP keeps about {each:.1f} MiB for each masked image (float32; --amp: half), and that '
        f'of {now} of them, foreground and background of {round(pairs)} pairs: {now * each:.0f} MiB'
    )
    lower = max(now // 4, 1)
    if lower == now:
        return [fact], []
    return [fact], [
        f'--cfg-options model.image_head.max_batch={lower}: {lower * each:.0f} MiB in its place, '
        'for one more forward pass of CLIP; the same result'
    ]


def _of_batch(runner: Runner, batch: int) -> str:
    """Half the batch, by the option that says it."""
    stages, name = runner.cfg.get('stages') or [], runner.message_hub.get_info('stage')
    found = [n for n, stage in enumerate(stages) if stage['name'] == name and 'batch_size' in stage]
    if found:
        half = stages[found[0]]['batch_size'] // 2
        option = f'stages.{found[0]}.batch_size={half}'
    else:
        option = f'train_dataloader.batch_size={batch // 2}'
    return f'--cfg-options {option}: half of it; halve the learning rate, too'


def _pairs_per_image(dataset: Any, at_most: int = 1000) -> float:
    """Mean number of classes of an image."""
    step = max(len(dataset) // at_most, 1)
    counts = [
        sum(value > 0 for value in dataset.get_data_info(index)['image_labels'])
        for index in range(0, len(dataset), step)
    ]
    return sum(counts) / len(counts)
