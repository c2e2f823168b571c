"""From CAMs to pseudo masks on disk."""

from .background_score import ScoreChoice, choose_background_score
from .generate import AUTO, make_pseudo_masks
from .manifest import MANIFEST, open_folder
from .writer import PseudoMaskWriter

__all__ = [
    'AUTO',
    'MANIFEST',
    'PseudoMaskWriter',
    'ScoreChoice',
    'choose_background_score',
    'make_pseudo_masks',
    'open_folder',
]
