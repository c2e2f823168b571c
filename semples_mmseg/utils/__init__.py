"""Helpers shared by the rest of the package."""

from .frozen import Frozen
from .io import atomic_write, remove_leftovers

__all__ = ['Frozen', 'atomic_write', 'remove_leftovers']
