"""Backbones of mask generators."""

from .multi_token_vit import BlockTrace, MultiTokenViT

__all__ = ['BlockTrace', 'MultiTokenViT']
