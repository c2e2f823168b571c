"""Shared by the three SemPLeS losses: the clamp before a logarithm, the mean over all pairs."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

from ...utils.errors import Refusal

MIN_SIMILARITY, MAX_SIMILARITY = 1e-4, 0.9999


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of unit vectors, row by row, clamped to [1e-4, 0.9999] so that logarithms are finite.

    Outside that range the gradient is zero. Half precision is converted to float32, because it
    rounds 0.9999 to 1, and log(1 - 1) is infinite.

    Args:
        a: (P, D) unit vectors.
        b: (P, D) unit vectors.

    Returns:
        (P,), float32 at least.

    Raises:
        ValueError: If the shapes differ.
    """
    if a.shape != b.shape:
        raise Refusal(f'expected features of one shape (P, D), got {(*a.shape,)}, {(*b.shape,)}')
    a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (a, b))
    return (a * b).sum(-1).clamp(MIN_SIMILARITY, MAX_SIMILARITY)


def mean_over_pairs(values: Tensor) -> Tensor:
    """Mean over the pairs of the *global* batch, as a process has to back-propagate it.

    Distributed wrappers average gradients over processes. A process therefore returns its sum
    times the number of processes, divided by the number of all pairs: N processes then take the
    step that one process takes on the whole batch. Without any pair the mean is zero.

    Args:
        values: (P,) of this process; P may be 0.
    """
    processes = get_world_size()
    count = values.new_tensor(len(values))
    all_reduce(count)
    return values.sum() * (processes / count.clamp(min=1))
