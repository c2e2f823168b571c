"""The demo: a small drawn world, two small pretrained models, and the report of a run."""

from .conv_stem import ConvStem
from .dataset import DemoDataset

__all__ = ['ConvStem', 'DemoDataset']
