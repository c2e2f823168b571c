"""Mask generators: images in, class activation maps out."""
