"""Backbones that MMPretrain does not have in the form the mask generators need."""

from .conv_stem import ConvStem
from .multi_token_vit import BlockTrace, MultiTokenViT

__all__ = ['BlockTrace', 'ConvStem', 'MultiTokenViT']
