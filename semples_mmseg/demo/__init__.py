"""The demo: a small drawn world, its two small models, and how its run is shown."""

from .conv_stem import ConvStem
from .dataset import DemoDataset

__all__ = ['ConvStem', 'DemoDataset']
