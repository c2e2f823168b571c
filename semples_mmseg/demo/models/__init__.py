"""Small pretrained models of the demo world, shipped with the package.

``demo_clip.json``
    open_clip configuration of the tiny CLIP.
``demo_clip.safetensors``
    Its weights in float16 under open_clip's names. Of the token table, 3.2 of 4.6 million
    parameters, only the rows in use are kept, see ``save_small_clip``.
``demo_backbone.safetensors``
    Weights in float16 of a small MMPretrain ``VisionTransformer`` under its own names, the demo's
    stand-in for an ImageNet checkpoint.
``demo_models.json``
    Seed and measured checks of both.

All but the configuration were made by ``projects/demo_world/make_models.py``.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
CLIP_CONFIG = 'demo_clip.json'
CLIP_FILE = 'demo_clip.safetensors'
BACKBONE_FILE = 'demo_backbone.safetensors'
REPORT_FILE = 'demo_models.json'
