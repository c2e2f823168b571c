"""Helpers shared by the rest of the package."""

from .io import atomic_write, remove_leftovers

__all__ = ['atomic_write', 'remove_leftovers']
