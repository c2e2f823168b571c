"""Refining label maps by the colours of their images."""
