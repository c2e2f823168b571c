"""From CAMs to pseudo masks on disk."""

from .background_score import ScoreChoice, choose_background_score
from .dense_crf import DenseCRF
from .making import AUTO, make_pseudo_masks
from .manifest import MANIFEST, open_folder
from .masks import full_palette, read_mask, write_mask
from .pamr import PAMR, refine_scores
from .refinement import REFINEMENTS, Refinement
from .writer import PseudoMaskWriter

__all__ = [
    'AUTO',
    'MANIFEST',
    'PAMR',
    'REFINEMENTS',
    'DenseCRF',
    'PseudoMaskWriter',
    'Refinement',
    'ScoreChoice',
    'choose_background_score',
    'full_palette',
    'make_pseudo_masks',
    'open_folder',
    'read_mask',
    'refine_scores',
    'write_mask',
]
