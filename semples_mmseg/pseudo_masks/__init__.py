"""From CAMs to pseudo masks on disk."""

from .making import make_pseudo_masks
from .manifest import MANIFEST, open_folder
from .masks import full_palette, read_mask, write_mask
from .writer import PseudoMaskWriter, Refinement

__all__ = [
    'MANIFEST',
    'PseudoMaskWriter',
    'Refinement',
    'full_palette',
    'make_pseudo_masks',
    'open_folder',
    'read_mask',
    'write_mask',
]
