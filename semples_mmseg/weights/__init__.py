"""Weights made elsewhere: read safely, brought into our key names, checked and reported.

Any ``init_cfg`` of MMEngine reads them through the prefix ``weights:``, e.g.
``dict(type='Pretrained', checkpoint='weights:deit_small_patch16_224-cd65a155.pth')``, and so does
``load_from='weights:PATH'``.
"""

from .converting import convert_file
from .layouts import COCO_CATEGORY_IDS, KINDS, Weights, read_weights
from .loading import PretrainedWeights, load_weights
from .reading import read_state_dict, resolve

__all__ = [
    'COCO_CATEGORY_IDS',
    'KINDS',
    'PretrainedWeights',
    'Weights',
    'convert_file',
    'load_weights',
    'read_state_dict',
    'read_weights',
    'resolve',
]
