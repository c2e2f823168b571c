"""What every mask generator returns."""

from dataclasses import dataclass, field

from torch import Tensor


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
