"""What every loss of the stages is called with, and what the losses share."""

from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

from ...utils.errors import Refusal

FEATURES = ('v_f', 'v_b', 'u_f', 'u_b')
MIN_SIMILARITY, MAX_SIMILARITY = 1e-4, 0.9999


@dataclass
class Pairs:
    """The P (image, present class) pairs of a batch; P may be 0.

    A loss is a module that is called with this record and returns a number, see
    ``mean_over_pairs``. Its attribute ``needs`` names the features that it uses; a loss without
    it gets all four. A feature that no loss of the stage needs is not computed: it is ``None``.

    Attributes:
        images: (P, 3, s, s), the images X as CLIP takes them.
        classes: (P,), 0-based object classes.
        cams: (P, h, w), CAMs on the grid of the mask generator, not normalised.
        masks: (P, 1, s, s), soft masks M in [0, 1].
        v_f: (P, D), CLIP's unit vectors of the foregrounds M x X.
        v_b: (P, D), CLIP's unit vectors of the backgrounds (1 - M) x X.
        u_f: (P, D), unit vectors of the class names.
        u_b: (P, D), unit vectors of the background prompts of the classes.
    """

    images: Tensor
    classes: Tensor
    cams: Tensor
    masks: Tensor
    v_f: Tensor | None = None
    v_b: Tensor | None = None
    u_f: Tensor | None = None
    u_b: Tensor | None = None


def similarity(a: Tensor | None, b: Tensor | None) -> Tensor:
    """Cosines (P,) of unit vectors (P, D), clamped to [1e-4, 0.9999] for finite logarithms.

    Outside that range the gradient is zero. The result is float32 at least, because half precision
    rounds 0.9999 to 1.
    """
    if a is None or b is None:
        raise Refusal(f'a loss uses a feature that its `needs` does not name; known are {FEATURES}')
    a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (a, b))
    return (a * b).sum(-1).clamp(MIN_SIMILARITY, MAX_SIMILARITY)


def mean_over_pairs(values: Tensor) -> Tensor:
    """Mean over the pairs of the *global* batch, as a process has to back-propagate it.

    Distributed wrappers average gradients, so a process returns the sum of its values (P,) times
    the number of processes, divided by the number of all pairs. Without any pair this is zero.
    """
    processes = get_world_size()
    count = values.new_full((), len(values))
    all_reduce(count)
    return values.sum() * (processes / count.clamp(min=1))
