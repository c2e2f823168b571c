"""The demo: a small drawn world, its two small models, and how its run is shown."""

from .conv_stem import ConvStem
from .dataset import DemoDataset
from .models import build_demo_clip

__all__ = ['ConvStem', 'DemoDataset', 'build_demo_clip']
