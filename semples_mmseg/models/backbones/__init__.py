"""Backbones of mask generators."""

from .multi_token_vit import BlockTrace, MultiTokenViT
from .resnet38 import ResNet38

__all__ = ['BlockTrace', 'MultiTokenViT', 'ResNet38']
