"""Weights: read without running code, renamed for our models, checked, reported.

Any ``init_cfg`` of MMEngine reads them through the prefix ``weights:``, e.g.
``dict(type='Pretrained', checkpoint='weights:deit_small_patch16_224-cd65a155.pth')``, and so does
``load_from='weights:PATH'``.
"""

from .layouts import COCO_CATEGORY_IDS, KINDS, Weights, read_weights
from .loading import PretrainedWeights, convert_file, load_weights, save_half, with_scheme
from .reading import forbid_code, read_checkpoint, read_state_dict, resolve, trust_checkpoints

__all__ = [
    'COCO_CATEGORY_IDS',
    'KINDS',
    'PretrainedWeights',
    'Weights',
    'convert_file',
    'forbid_code',
    'load_weights',
    'read_checkpoint',
    'read_state_dict',
    'read_weights',
    'resolve',
    'save_half',
    'trust_checkpoints',
    'with_scheme',
]
