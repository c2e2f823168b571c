"""The hot paths: which versions are compared, and how large they are by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .cams import OurCAMs, TextbookCAMs
from .data_set import OurCRF, OurCurve, TextbookCRF, TextbookCurve
from .loading import RIVALS, Loading
from .setting import SEGMENTER_BATCH, STEP_BATCH, Setting, Side
from .steps import CROSS_ENTROPY, OurStep, SegmenterStep, SmallCLIP, TextbookStep

OURS = 'ours'
TEXTBOOK = 'textbook'
FROZEN = 'textbook, CLIP frozen'


@dataclass(frozen=True)
class Path:
    """A hot path.

    Attributes:
        title: What it does.
        sides: How to build each version; ``ours`` first, then what it is compared with.
        images: Images of a full run, for paths that go through a data set.
        batch: Images of a step by device, for paths that train.
        cpu_only: Whether no GPU takes part, and no matrix products, whose FLOPs bound the work.
    """

    title: str
    sides: dict[str, Callable[[Setting], Side]]
    images: int = 0
    batch: dict[str, int] | None = None
    cpu_only: bool = False


def _stage(title: str, stage: str) -> Path:
    sides = {
        OURS: partial(OurStep, stage=stage),
        TEXTBOOK: partial(TextbookStep, stage=stage),
        FROZEN: partial(TextbookStep, stage=stage, frozen=True),
    }
    return Path(title, sides, batch=STEP_BATCH)


PATHS = {
    'match': _stage('stage (a), training step', 'match'),
    'prompt': _stage('stage (b), training step', 'prompt'),
    'refine': _stage('stage (c), training step', 'refine'),
    'small_clip': Path(
        'small CLIP, features and gradients of images',
        {OURS: SmallCLIP, 'as loaded': partial(SmallCLIP, streamline=False)},
        batch=dict(cpu=24, cuda=192),
    ),
    'cams': Path('multi-scale CAMs', {OURS: OurCAMs, TEXTBOOK: TextbookCAMs}, images=10),
    'curve': Path(
        'threshold curve, 20 scores',
        {OURS: OurCurve, TEXTBOOK: TextbookCurve},
        images=1464,
        cpu_only=True,
    ),
    'crf': Path(
        'CRF of present labels, 2 processes',
        {OURS: OurCRF, 'one process': partial(OurCRF, processes=1), TEXTBOOK: TextbookCRF},
        images=32,
        cpu_only=True,
    ),
    'loading': Path(
        'loading and augmentation, 2 processes',
        {OURS: Loading, 'one process': partial(Loading, workers=0), **RIVALS},
        images=256,
        cpu_only=True,
    ),
    'segmenter': Path(
        'Segmenter, training step',
        {OURS: SegmenterStep, 'cross entropy': partial(SegmenterStep, loss=CROSS_ENTROPY)},
        batch=dict.fromkeys(STEP_BATCH, SEGMENTER_BATCH),
    ),
}
