"""Settings for training on your own photos: steps and batches, chosen by data and machine."""

from __future__ import annotations

import importlib.util
import math
import operator
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..utils.names import count
from ..utils.parallel import usable_cores

WEIGHTS = {
    'pretrained': 'DeiT-S (ImageNet) and CLIP ViT-B/32',
    'small': 'EfficientNet-Lite0 (ImageNet) and a small CLIP',
    'demo': 'small models of the demo',
}
"""What training starts from; only ``'pretrained'`` may download."""
AUTO = 'auto'
"""``'pretrained'`` where its files are on the disk, else ``'small'``."""

_FEWEST_EPOCHS, _MOST_EPOCHS = 4, 200
_PASSED_ON, _LOADED = 256 * 256, 1024 * 1024
"""Pixels of a photo that the training process loads itself: no worker passes it on faster, or with
few cores a step takes so long that loading does not count, and a worker takes much memory."""
_FEW_CORES = 4

# Batches, and steps as in the configs of the demo and of VOC 2012 (60 epochs of 10,582 photos), or
# as many as two cores make within ten minutes.
_DEMO = dict(
    classify=(50, 48), match=(32, 108), prompt=(64, 72), refine=(32, 108), segmenter=(16, 370)
)
_SMALL = dict(
    classify=(16, 180), match=(8, 100), prompt=(16, 100), refine=(8, 100), segmenter=(8, 250)
)
_GPU = dict(
    classify=(64, 9900), match=(64, 9900), prompt=(128, 4950), refine=(64, 9900),
    segmenter=(4, 40000),
)  # fmt: skip
# On a CPU a step of eight photos takes seconds: a tenth of the pairs, to finish within a day.
_CPU = dict.fromkeys(('classify', 'match', 'prompt', 'refine'), (16, 1500)) | dict(
    segmenter=(4, 3000)
)

# Seconds of a core where two cores work on it, measured: for a photo in classify, match, prompt and
# refine, for its mask, for a photo in the Segmenter's training, and for a prediction.
_SECONDS = dict(
    demo=(0.006, 0.006, 0.006, 0.006, 0.048, 0.012, 0.024),
    small=(0.065, 0.085, 0.055, 0.085, 0.47, 0.14, 0.11),
    pretrained=(0.6, 0.6, 0.6, 0.6, 4.8, 1.2, 2.4),
)
# More for every pixel of the photos, which are JPEG files.
_PIXEL_SECONDS = (2e-9, 2e-9, 2e-9, 2e-9, 4.5e-8, 1e-8, 3e-8)
_MEGABYTES = dict(demo=2300, small=3000, pretrained=3500)
_WORKER = 500
"""Megabytes of a process that loads photos."""
_START = 20
"""Seconds to import packages and to write the model."""


_REFINED = {
    'crf-voc': 'dense CRF',
    'pamr': 'PAMR: the dense CRF is not installed',
    'none': 'CAMs, not refined',
}


class Length(NamedTuple):
    """Length of one training: images of a step, and passes through the photos."""

    batch: int
    epochs: int

    def steps(self, photos: int) -> int:
        """Number of optimisation steps; the last incomplete batch of an epoch is left out."""
        return self.epochs * (photos // self.batch)


@dataclass(frozen=True)
class FitSettings:
    """The settings chosen for a set of photos.

    Attributes:
        weights: One of ``WEIGHTS``.
        backbone, clip: Files of weights in place of those that ``weights`` means, or None.
        stages: Length of each stage by name.
        segmenter: Length of the retraining.
        workers: Processes that load photos.
        test_batch: Photos that are predicted at once; 1 where their sizes differ.
        crf: Whether pseudo masks are refined by the dense CRF; else, but for the demo, by PAMR.
        amp: Whether training uses bfloat16.
        epochs: Maximum number of epochs that the user has given, or None.
        pixels: Mean number of pixels of a photo.
    """

    weights: str
    backbone: str | None
    clip: str | None
    stages: Mapping[str, Length]
    segmenter: Length
    workers: int
    test_batch: int
    crf: bool
    amp: bool
    seed: int
    epochs: int | None
    pixels: int = 0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FitSettings:
        """What ``dataclasses.asdict`` and JSON made of the settings."""
        stages = {name: Length(*length) for name, length in content['stages'].items()}
        return cls(**{**content, 'stages': stages, 'segmenter': Length(*content['segmenter'])})

    @property
    def refinement(self) -> str:
        """What refines the pseudo masks, see ``masks.named_refinement``."""
        return 'crf-voc' if self.crf else 'none' if self.weights == 'demo' else 'pamr'

    def lengths(self, photos: int) -> dict[str, float]:
        """Seconds of a core for every step of a run, without its start."""
        costs = zip(_SECONDS[self.weights], _PIXEL_SECONDS, strict=True)
        *stages, mask, retrained, predicted = (one + self.pixels * more for one, more in costs)
        trained = (length.steps(photos) * length.batch for length in self.stages.values())
        return {
            'stages': sum(map(operator.mul, stages, trained)),
            'pseudo masks': mask * photos,
            'Segmenter': retrained * self.segmenter.steps(photos) * self.segmenter.batch,
            'predictions': predicted * photos,
        }

    def forecast(self, photos: int) -> dict[str, int] | None:
        """Rough seconds and megabytes of a run on this machine's CPU; None for a GPU."""
        if self.amp:
            return None
        seconds = _START + sum(self.lengths(photos).values()) / usable_cores()
        megabytes = _MEGABYTES[self.weights] + _WORKER * self.workers
        return dict(seconds=round(seconds), megabytes=megabytes)

    def rows(self, photos: int) -> list[tuple[str, str]]:
        """The settings as pairs of name and text, for a table."""
        lengths = {f'stage {name}': length for name, length in self.stages.items()}
        lengths['Segmenter'] = self.segmenter
        rows = [('models', WEIGHTS[self.weights])]
        for name, length in lengths.items():
            epochs = count(length.epochs, 'epoch')
            steps = count(length.steps(photos), 'step')
            rows.append((name, f'{epochs}, batch {length.batch}: {steps}'))
        return [
            *rows,
            ('pseudo masks', _REFINED[self.refinement]),
            ('precision', 'bfloat16' if self.amp else 'float32'),
            ('loading', f'{self.workers} processes' if self.workers else 'in the same process'),
            ('seed', str(self.seed)),
        ]


def choose_settings(
    sizes: Collection[tuple[int, int]],
    weights: str = 'pretrained',
    backbone: str | Path | None = None,
    clip: str | Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
) -> FitSettings:
    """Choose settings for photos of some heights and widths on this machine; options as in ``fit``.

    The result of a training depends on its number of steps, so small sets are trained for more
    epochs: as many steps as on the data sets of the configs, but at least 4 and at most 200 epochs.
    """
    from torch.cuda import is_available  # the command line reads WEIGHTS, which should be fast

    gpu, photos = is_available(), len(sizes)
    few = not gpu and usable_cores() <= _FEW_CORES
    pixels = sum(height * width for height, width in sizes) // photos
    lengths = {}
    table = dict(demo=_DEMO, small=_SMALL).get(weights, _GPU if gpu else _CPU)
    for name, (most, steps) in table.items():
        batch = min(most, photos)
        needed = math.ceil(steps / (photos // batch))
        chosen = min(max(needed, _FEWEST_EPOCHS), _MOST_EPOCHS)
        lengths[name] = Length(batch, chosen if epochs is None else min(chosen, epochs))
    return FitSettings(
        weights=weights,
        backbone=None if backbone is None else str(Path(backbone).resolve()),
        clip=None if clip is None else str(Path(clip).resolve()),
        segmenter=lengths.pop('segmenter'),
        stages=lengths,
        workers=0 if pixels <= (_LOADED if few else _PASSED_ON) else min(usable_cores(), 8),
        test_batch=50 if pixels <= _PASSED_ON and len(set(sizes)) == 1 else 1,
        crf=importlib.util.find_spec('pydensecrf') is not None and weights != 'demo',
        amp=gpu,
        seed=seed,
        epochs=epochs,
        pixels=pixels,
    )
