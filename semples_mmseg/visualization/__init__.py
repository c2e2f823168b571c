"""Pictures of CAMs and label maps."""

from .pictures import colour_label, overlay_cam, picture_grid

__all__ = ['colour_label', 'overlay_cam', 'picture_grid']
