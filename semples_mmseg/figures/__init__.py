"""Pictures of CAMs, prompts and label maps: arrays in, a picture out."""

from .pictures import colour_label, draw_cams, overlay_cam, picture_grid
from .prompt_figure import draw_prompts, prompt_maps
from .visualize_hook import VisualizeHook

__all__ = [
    'VisualizeHook',
    'colour_label',
    'draw_cams',
    'draw_prompts',
    'overlay_cam',
    'picture_grid',
    'prompt_maps',
]
