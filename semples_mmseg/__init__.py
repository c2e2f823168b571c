"""SemPLeS on MMSegmentation; importing the package registers all of its components.

From then on MMEngine also reads checkpoints by :mod:`semples_mmseg.checkpoints`: as data, without
running anything in them.
"""

from . import (
    checkpoints,
    datasets,
    engine,
    evaluation,
    models,
    pseudo_masks,
    refinement,
    visualization,
    weights,
)
from .version import __version__

__all__ = [
    '__version__',
    'checkpoints',
    'datasets',
    'engine',
    'evaluation',
    'models',
    'pseudo_masks',
    'refinement',
    'visualization',
    'weights',
]
