"""SemPLeS on MMSegmentation; importing the package registers all of its components."""

from . import (
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
    'datasets',
    'engine',
    'evaluation',
    'models',
    'pseudo_masks',
    'refinement',
    'visualization',
    'weights',
]
