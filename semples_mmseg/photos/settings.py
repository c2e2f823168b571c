"""Settings for training on your own photos: steps and batches, chosen by data and machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

STAGES = ('classify', 'match', 'prompt', 'refine')

WEIGHTS = ('pretrained', 'demo')
"""``'pretrained'``: DeiT-S and CLIP ViT-B/32; ``'demo'``: the small models that are shipped."""

_FEWEST_EPOCHS, _MOST_EPOCHS = 4, 200
_SMALL_PHOTO = 256 * 256
"""Pixels of a photo that is loaded faster than a worker process passes it on."""


@dataclass(frozen=True)
class Length:
    """Length of one training.

    Attributes:
        batch: Images of a step.
        epochs: Passes through the photos.
    """

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
        backbone: File of the backbone's weights, or None for those that ``weights`` means.
        clip: File of CLIP's weights, or None for those that ``weights`` means.
        stages: Length of each stage by name.
        segmenter: Length of the retraining.
        workers: Processes that load photos.
        test_batch: Photos that are predicted at once; 1 where their sizes differ.
        crf: Whether pseudo masks are refined by the dense CRF.
        amp: Whether training uses bfloat16.
        seed: Seed of training.
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

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FitSettings:
        """What ``to_json`` made."""
        stages = {name: Length(**length) for name, length in content['stages'].items()}
        return cls(**{**content, 'stages': stages, 'segmenter': Length(**content['segmenter'])})

    def at_most(self, epochs: int) -> FitSettings:
        """The same with at most this number of epochs for each training, for trials."""

        def cut(length: Length) -> Length:
            return replace(length, epochs=min(length.epochs, epochs))

        stages = {name: cut(length) for name, length in self.stages.items()}
        return replace(self, stages=stages, segmenter=cut(self.segmenter))

    def rows(self, photos: int) -> list[tuple[str, str]]:
        """The settings as pairs of name and text, for a table."""
        models = dict(
            pretrained='DeiT-S (ImageNet) and CLIP ViT-B/32', demo='small models of the demo'
        )
        lengths = {f'stage {name}': length for name, length in self.stages.items()}
        return [
            ('models', models[self.weights]),
            *(
                (
                    name,
                    _work(length, photos),
                )
                for name, length in (lengths | dict(Segmenter=self.segmenter)).items()
            ),
            ('pseudo masks', 'dense CRF' if self.crf else 'CAMs without CRF'),
            ('precision', 'bfloat16' if self.amp else 'float32'),
            ('loading', f'{self.workers} processes' if self.workers else 'in the same process'),
            ('seed', str(self.seed)),
        ]


# Batches, and steps as in the configs of the demo and of VOC 2012 (60 epochs of 10,582 photos).
_DEMO = dict(
    classify=(50, 48), match=(32, 108), prompt=(64, 72), refine=(32, 108), segmenter=(16, 370)
)
_GPU = dict(
    classify=(64, 9900), match=(64, 9900), prompt=(128, 4950), refine=(64, 9900),
    segmenter=(4, 40000),
)  # fmt: skip
# On a CPU a step of eight photos takes seconds: a tenth of the pairs, to finish within a day.
_CPU = dict.fromkeys(STAGES, (16, 1500)) | dict(segmenter=(4, 3000))


def choose_settings(
    photos: int,
    mean_pixels: float,
    *,
    weights: str,
    backbone: str | None = None,
    clip: str | None = None,
    crf: bool = False,
    one_size: bool = False,
    gpu: bool = False,
    cores: int = 1,
    seed: int = 0,
) -> FitSettings:
    """Choose the settings.

    The result of a training depends on its number of steps, so small sets are trained for more
    epochs: as many steps as on the data sets of the configs, but at least 4 and at most 200 epochs.

    Args:
        photos: Number of photos.
        mean_pixels: Mean number of pixels of a photo.
        weights, backbone, clip, seed: See ``FitSettings``.
        crf: Whether the dense CRF can be used.
        one_size: Whether all photos have the same size.
        gpu: Whether there is a GPU.
        cores: CPU cores.
    """
    demo, small = weights == 'demo', mean_pixels <= _SMALL_PHOTO
    lengths = {}
    for name, (most, steps) in (_DEMO if demo else _GPU if gpu else _CPU).items():
        batch = min(most, photos)
        epochs = math.ceil(steps / (photos // batch))
        lengths[name] = Length(batch, min(max(epochs, _FEWEST_EPOCHS), _MOST_EPOCHS))
    return FitSettings(
        weights=weights,
        backbone=backbone,
        clip=clip,
        segmenter=lengths.pop('segmenter'),
        stages=lengths,
        workers=0 if small else min(cores, 8),
        test_batch=50 if small and one_size else 1,
        crf=crf and not demo,
        amp=gpu,
        seed=seed,
    )


def _work(length: Length, photos: int) -> str:
    steps = count(length.steps(photos), 'step')
    return f'{count(length.epochs, "epoch")}, batch {length.batch}: {steps}'


def count(number: int, noun: str) -> str:
    """``'1 photo'``, ``'2 photos'``."""
    return f'{number} {noun}{"" if number == 1 else "s"}'
