"""Settings for training on your own photos: steps and batches, chosen by data and machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

STAGES = ('classify', 'match', 'prompt', 'refine')

WEIGHTS = ('pretrained', 'demo')
"""``'pretrained'``: DeiT-S and CLIP ViT-B/32; ``'demo'``: the small models that are shipped."""

_LEAST_EPOCHS = 4
_SMALL_PHOTO = 256 * 256


@dataclass(frozen=True)
class Work:
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
class Recipe:
    """The settings chosen for a set of photos.

    Attributes:
        weights: One of ``WEIGHTS``.
        backbone: File of the backbone's weights, or None for those that ``weights`` means.
        clip: File of CLIP's weights, or None for those that ``weights`` means.
        stages: Work of each stage by name.
        segmenter: Work of the retraining.
        workers: Processes that load photos.
        test_batch: Photos that are predicted at once; 1 where their sizes differ.
        crf: Whether pseudo masks are refined by the dense CRF.
        amp: Whether training uses bfloat16.
        seed: Seed of training.
    """

    weights: str
    backbone: str | None
    clip: str | None
    stages: Mapping[str, Work]
    segmenter: Work
    workers: int
    test_batch: int
    crf: bool
    amp: bool
    seed: int

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Recipe:
        """What ``to_json`` made."""
        return cls(
            **dict(
                content,
                stages={name: Work(**work) for name, work in content['stages'].items()},
                segmenter=Work(**content['segmenter']),
            )
        )

    def rows(self, photos: int) -> list[tuple[str, str]]:
        """The settings as pairs of name and text, for a table."""
        models = {
            'pretrained': 'DeiT-S (ImageNet) and CLIP ViT-B/32',
            'demo': 'small models of the demo',
        }
        rows = [('models', models[self.weights])]
        for name, work in (*self.stages.items(), ('Segmenter', self.segmenter)):
            text = f'{work.epochs} epochs, batch {work.batch}: {work.steps(photos)} steps'
            rows.append((f'stage {name}' if name in STAGES else name, text))
        rows += [
            ('pseudo masks', 'dense CRF' if self.crf else 'CAMs without CRF'),
            ('precision', 'bfloat16' if self.amp else 'float32'),
            ('loading', f'{self.workers} processes' if self.workers else 'in the same process'),
            ('seed', str(self.seed)),
        ]
        return rows


# Batches, and steps as in the configs of the demo and of VOC 2012 (60 epochs of 10,582 photos).
_DEMO = dict(
    stages=dict(classify=(50, 48), match=(32, 108), prompt=(64, 72), refine=(32, 108)),
    segmenter=(16, 370),
)
_PRETRAINED_GPU = dict(
    stages=dict(classify=(64, 9900), match=(64, 9900), prompt=(128, 4950), refine=(64, 9900)),
    segmenter=(4, 40000),
)
# On a CPU a step of eight photos takes seconds: a tenth of the pairs, to finish within a day.
_PRETRAINED_CPU = dict(
    stages=dict(classify=(16, 1500), match=(16, 1500), prompt=(16, 1500), refine=(16, 1500)),
    segmenter=(4, 3000),
)
_MOST_EPOCHS = 200


def choose_recipe(
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
) -> Recipe:
    """Choose a recipe.

    The result of a training depends on its number of steps, so small sets are trained for more
    epochs: as many steps as on the data sets of the configs, but at least 4 and at most 200 epochs.

    Args:
        photos: Number of photos.
        mean_pixels: Mean number of pixels of a photo.
        weights: One of ``WEIGHTS``.
        backbone: File of the backbone's weights.
        clip: File of CLIP's weights.
        crf: Whether the dense CRF can be used.
        one_size: Whether all photos have the same size.
        gpu: Whether there is a GPU.
        cores: CPU cores.
        seed: Seed of training.
    """
    demo = weights == 'demo'
    plan: dict[str, Any] = _DEMO if demo else _PRETRAINED_GPU if gpu else _PRETRAINED_CPU
    small = mean_pixels <= _SMALL_PHOTO
    return Recipe(
        weights=weights,
        backbone=backbone,
        clip=clip,
        stages={name: _work(photos, *plan['stages'][name]) for name in STAGES},
        segmenter=_work(photos, *plan['segmenter']),
        workers=0 if small else min(cores, 8),
        test_batch=50 if small and one_size else 1,
        crf=crf and not demo,
        amp=gpu,
        seed=seed,
    )


def shorten(recipe: Recipe, epochs: int) -> Recipe:
    """A recipe with at most this number of epochs for each training, for trials."""

    def cut(work: Work) -> Work:
        return replace(work, epochs=min(work.epochs, epochs))

    stages = {name: cut(work) for name, work in recipe.stages.items()}
    return replace(recipe, stages=stages, segmenter=cut(recipe.segmenter))


def _work(photos: int, batch: int, steps: int) -> Work:
    batch = min(batch, photos)
    epochs = math.ceil(steps / (photos // batch))
    return Work(batch, min(max(epochs, _LEAST_EPOCHS), _MOST_EPOCHS))
