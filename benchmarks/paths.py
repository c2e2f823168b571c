"""The hot paths: which versions are compared, and how large they are by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from .cams import OurCAMs, TextbookCAMs
from .data_set import OurCRF, OurCurve, TextbookCRF, TextbookCurve
from .loading import Loading
from .options import AdamWStep, HalfEncoder
from .segmenter import CROSS_ENTROPY, SegmenterStep
from .setting import SEGMENTER_BATCH, STEP_BATCH, Setting, Side
from .steps import OurStep, TextbookStep

OURS = 'ours'
TEXTBOOK = 'textbook'


@dataclass(frozen=True)
class Path:
    """A hot path.

    Attributes:
        title: What it does.
        sides: How to build each version; ``ours`` first, then what it is compared with.
        images: Images of a full run, for paths that go through a data set.
        batch: Images of a step by device, for paths that train.
        cpu_only: Whether no GPU takes part.
        matmul: Whether its work is matrix products, so that FLOPs bound it.
    """

    title: str
    sides: dict[str, Callable[[Setting], Side]]
    images: int = 0
    batch: dict[str, int] | None = None
    cpu_only: bool = False
    matmul: bool = True

    def build(self, side: str, setting: Setting) -> Side:
        """Build one version."""
        return self.sides[side](setting)

    def dtypes(self, device: str) -> tuple[torch.dtype, str]:
        """Data type of our matrix products, and its name in the report."""
        if device == 'cpu' or self.cpu_only or not self.batch:
            return torch.float32, 'float32'
        other = 'float16' if TEXTBOOK in self.sides else 'bfloat16'
        return torch.bfloat16, f'bfloat16 against {other}'

    def number(self, setting: Setting) -> int:
        """Images that a call works on."""
        return setting.batch if self.batch else setting.images


def _stage(title: str, stage: str) -> Path:
    sides = {OURS: partial(OurStep, stage=stage), TEXTBOOK: partial(TextbookStep, stage=stage)}
    return Path(title, sides, batch=STEP_BATCH)


PATHS = {
    'match': _stage('stage (a), training step', 'match'),
    'prompt': _stage('stage (b), training step', 'prompt'),
    'refine': _stage('stage (c), training step', 'refine'),
    'cams': Path('multi-scale CAMs', {OURS: OurCAMs, TEXTBOOK: TextbookCAMs}, images=10),
    'curve': Path(
        'threshold curve, 20 scores',
        {OURS: OurCurve, TEXTBOOK: TextbookCurve},
        images=1464,
        cpu_only=True,
        matmul=False,
    ),
    'crf': Path(
        'CRF of present labels, 2 processes',
        {OURS: OurCRF, 'one process': partial(OurCRF, processes=1), TEXTBOOK: TextbookCRF},
        images=32,
        cpu_only=True,
        matmul=False,
    ),
    'loading': Path(
        'loading and augmentation, 2 processes',
        {OURS: Loading, 'one process': partial(Loading, workers=0)},
        images=256,
        cpu_only=True,
        matmul=False,
    ),
    'encoder': Path(
        "CLIP's image encoder, bfloat16",
        {
            OURS: partial(HalfEncoder, dtype='bfloat16'),
            'rounded in every call': partial(HalfEncoder, dtype=None),
        },
        batch=STEP_BATCH,
        matmul=False,
    ),
    'adamw': Path(
        'ten steps of AdamW, stage 0',
        {OURS: partial(AdamWStep, fused=True), 'not fused': partial(AdamWStep, fused=None)},
        batch=STEP_BATCH,
        matmul=False,
    ),
    'segmenter': Path(
        'Segmenter, training step',
        {OURS: SegmenterStep, 'cross entropy': partial(SegmenterStep, loss=CROSS_ENTROPY)},
        batch=dict.fromkeys(STEP_BATCH, SEGMENTER_BATCH),
    ),
}
