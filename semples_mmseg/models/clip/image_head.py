"""The frozen CLIP image encoder."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...utils.errors import Refusal
from .loading import as_clip
from .streamlining import Encoder


@MODELS.register_module()
class CLIPImageHead(nn.Module):
    """Image features v of masked images (SemPLeS, section 3.2.1).

    Gradients flow through the encoder to its input, never into its weights.

    Args:
        clip: A CLIP model or the config of one, see ``build_clip``.
        normalization: ``'clip'`` re-normalises the images with CLIP's own mean and standard
            deviation; ``'input'`` uses the mask generator's normalisation, as the published
            settings do.
        input_mean: Mean of the incoming normalisation, R, G, B in 0..255 (ImageNet's).
        input_std: Standard deviation of the incoming normalisation.
        max_batch: Images encoded at once. Larger batches are encoded in parts: the same gradients
            with less memory, for one more forward pass.
        dtype: ``'bfloat16'`` or ``'float16'`` runs the encoder in mixed precision with weights
            that are rounded once; ``None`` runs it in the precision of training.
        input_size: Side of CLIP's images, in place of its own; for networks of convolutions, which
            have no embeddings of positions.
        streamline: Whether the image side of ``clip`` is frozen and rewritten in place to compute
            less. ``False`` leaves it as it is, as ``encoder.clip``, which a stage can train.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        clip: nn.Module | dict[str, Any],
        normalization: str = 'clip',
        input_mean: Sequence[float] = (123.675, 116.28, 103.53),
        input_std: Sequence[float] = (58.395, 57.12, 57.375),
        max_batch: int | None = None,
        dtype: str | None = None,
        streamline: bool = True,
        input_size: int | None = None,
    ) -> None:
        from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD  # imported slowly

        super().__init__()
        if normalization not in ('clip', 'input'):
            raise Refusal(
                f"image_head.normalization must be 'clip' or 'input', got {normalization!r}"
            )
        if max_batch is not None and max_batch < 1:
            raise Refusal(f'image_head.max_batch must be at least 1 or None, got {max_batch}')
        self.max_batch = max_batch
        visual = as_clip(clip).visual
        size = input_size or visual.image_size
        if input_size and any('pos' in name for name, _ in visual.named_parameters()):
            raise Refusal(
                f'image_head.input_size is {input_size}, but this CLIP embeds positions and takes '
                f'images of {visual.image_size} alone: leave it out'
            )
        self.encoder = Encoder(visual, frozen=streamline)
        self.encoder.run_in(dtype, 'image_head.dtype')
        self.input_size: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)
        own = normalization == 'clip'
        preprocessing = getattr(visual, 'preprocess_cfg', {})
        own_mean = preprocessing.get('mean') or OPENAI_DATASET_MEAN
        own_std = preprocessing.get('std') or OPENAI_DATASET_STD
        mean = torch.tensor(own_mean) * 255 if own else torch.tensor(input_mean)
        std = torch.tensor(own_std) * 255 if own else torch.tensor(input_std)
        scale = torch.tensor(input_std) / std
        shift = (torch.tensor(input_mean) - mean) / std
        self.register_buffer('scale', scale.view(1, 3, 1, 1), persistent=False)
        self.register_buffer('shift', shift.view(1, 3, 1, 1), persistent=False)

    def prepare(self, images: Tensor) -> Tensor:
        """Bring images (B, 3, H, W) to CLIP's normalisation and input size (B, 3, s, s)."""
        images = images * self.scale + self.shift
        if tuple(images.shape[-2:]) != self.input_size:
            images = F.interpolate(
                images, self.input_size, mode='bicubic', align_corners=False, antialias=True
            )
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors (P, D) of P > 0 images (P, 3, s, s) from ``prepare``, times their masks."""
        if self.max_batch is None or len(images) <= self.max_batch:
            return self._encode(images)
        random = not self.encoder.frozen
        parts = [
            checkpoint(self._encode, part, use_reentrant=False, preserve_rng_state=random)
            for part in images.split(self.max_batch)
        ]
        return torch.cat(parts)

    def _encode(self, images: Tensor) -> Tensor:
        return F.normalize(self.encoder(images).float(), dim=-1)
