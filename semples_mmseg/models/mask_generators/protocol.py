"""The interface of mask generators, and their output."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from ...weights import resolve


@dataclass
class GeneratorOutput:
    """Class activation maps and class predictions of a batch of images.

    Attributes:
        cams: (B, K, h, w), non-negative maps on the patch grid, not normalised. Masks and
            pseudo masks are made from them (WeakTr: the fine CAM by default).
        logits: Image-level predictions by name, each (B, K); stage 0 trains them all.
        affinity: (B, h * w, h * w), how similar patches are, row = query; ``None`` without
            attention, or where no gradient is needed.
        coarse: Like ``cams``: the ReLU of the classifier's maps (WeakTr: the patch CAM).
        seed: Like ``cams``: WeakTr's CAM before it is refined by the patch affinity; ``None``
            without attention.
    """

    cams: Tensor
    logits: dict[str, Tensor] = field(default_factory=dict)
    affinity: Tensor | None = None
    coarse: Tensor | None = None
    seed: Tensor | None = None


class MaskGenerator(Protocol):
    """Interface of a mask generator S: any registered ``nn.Module`` with these three members.

    Its constructor takes ``num_classes``, which the segmentor fills in. One that nothing trains has
    ``zero_shot = True``: its constructor also takes ``class_names``, the names for CLIP, its
    ``forward`` also ``labels`` (B, K), the tags (all 1 if unknown), and its checkpoint is ``none``.

    Attributes:
        num_classes: K, object classes without background.
        roles: For each role, the dotted paths of its modules inside the generator. Stages train
            roles: ``'masks'`` turn features into maps and train in match, refine and joint;
            ``'features'`` make the features. Other names are for the ``trains`` of your own stages.
    """

    num_classes: int
    roles: Mapping[str, Sequence[str]]

    def forward(self, images: Tensor, detach_coarse: bool = False) -> GeneratorOutput:
        """Compute CAMs and image-level predictions.

        Args:
            images: (B, 3, H, W), normalised by the data preprocessor.
            detach_coarse: Whether maps that are made from the classifier's maps give these no
                gradient. True only in stage 0, where each of ``logits`` has a loss.

        Returns:
            CAMs of all K classes, differentiable with respect to what trains.
        """
        ...


def check_generator(generator: nn.Module) -> None:
    """Raise a ValueError if a module is no ``MaskGenerator``, or later an output is not one."""
    name = type(generator).__name__
    roles: Any = getattr(generator, 'roles', None)
    if not hasattr(generator, 'num_classes') or not roles or not {'masks', 'features'} <= {*roles}:
        raise Refusal(
            f'model.mask_generator: {name} is no mask generator: it needs num_classes and roles '
            'with masks and features, see semples_mmseg.models.MaskGenerator'
        )
    known = dict(generator.named_modules())
    unknown = [path for paths in roles.values() for path in paths if path not in known]
    if unknown:
        raise Refusal(
            f'model.mask_generator: the roles of {name} name {unknown}, but it has no such modules'
        )
    generator.register_forward_hook(_check_output)


def _check_output(generator: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
    batch, classes = len(inputs[0]), generator.num_classes
    cams, logits = getattr(output, 'cams', None), getattr(output, 'logits', {})
    given = [] if cams is None else [cams.flatten(2), *logits.values()]
    if not given or any(some.shape[:2] != (batch, classes) for some in given):
        found = type(output).__name__ if cams is None else [(*some.shape,) for some in given]
        raise Refusal(
            f'model.mask_generator: {type(generator).__name__} returned {found}, not a '
            f'GeneratorOutput with cams (B, {classes}, h, w) and logits (B, {classes})'
        )


def is_zero_shot(generator: Mapping[str, Any] | None) -> bool:
    """Whether a config is that of a mask generator that nothing trains."""
    return getattr(MODELS.get(str((generator or {}).get('type'))), 'zero_shot', False)


def find_checkpoint(path: str, model: Mapping[str, Any]) -> Path | None:
    """The file of a checkpoint; None for ``'none'``, of a model that nothing trains."""
    nothing = path == 'none' and is_zero_shot(model.get('mask_generator'))
    return None if nothing else resolve(path)


def gradients_if_trained(module: nn.Module) -> AbstractContextManager[Any]:
    """A context without gradients for a frozen module; without effect if a part of it trains."""
    trains = any(parameter.requires_grad for parameter in module.parameters())
    return nullcontext() if trains else torch.no_grad()
