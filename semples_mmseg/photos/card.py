"""Metadata of an ONNX file: the steps of prediction that its graph does not contain."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ..utils.errors import Refusal

KEY = 'semples_mmseg'
"""Key of the metadata of an ONNX file."""


@dataclass(frozen=True)
class Card:
    """How photos become inputs of a graph, and its outputs label maps.

    Attributes:
        classes: Names of the ids, background first.
        palette: RGB of the ids.
        mean: RGB in 0..255, the value of padding.
        max_side: Photos with a longer side are made smaller first; None for no limit.
        scale: ``scale`` of MMCV's ``Resize``, which comes next; None for no resizing.
        keep_ratio: ``keep_ratio`` of the same ``Resize``.
        window: Height and width of sliding windows; None for the whole image at once.
        stride: Vertical and horizontal step between windows.
        enlarge: Whether images smaller than a window are enlarged (``WindowedEncoderDecoder``).
        align_corners: ``align_corners`` of the resizing of logits.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    mean: tuple[float, ...]
    max_side: int | None = None
    scale: tuple[int, ...] | None = None
    keep_ratio: bool = True
    window: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    enlarge: bool = False
    align_corners: bool = False

    def to_json(self) -> str:
        """Text for the metadata of an ONNX file."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read what ``to_json`` has written.

        Raises:
            ValueError: If it is something else.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            tuples: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in content.items()
            }
            palette = tuple(tuple(colour) for colour in tuples.pop('palette'))
            return cls(palette=palette, **tuples)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refusal(f'metadata {KEY!r} cannot be read ({error})') from error

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of an image (height, width) after MMCV's ``Resize``."""
        if self.scale is None:
            return size
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        factor = min(max(self.scale) / max(size), min(self.scale) / min(size))
        height, width = (int(side * factor + 0.5) for side in size)
        return height, width
