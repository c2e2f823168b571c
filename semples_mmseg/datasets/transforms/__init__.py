"""Transforms of the weak-label pipelines."""

from .formatting import PackWeakInputs, resize_bicubic

__all__ = ['PackWeakInputs', 'resize_bicubic']
