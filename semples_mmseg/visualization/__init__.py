"""Pictures of CAMs and label maps."""

from .demo_grid import demo_grid
from .pictures import colour_label, overlay_cam, picture_grid

__all__ = ['colour_label', 'demo_grid', 'overlay_cam', 'picture_grid']
