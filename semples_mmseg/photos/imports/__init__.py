"""Masks that were corrected in a label tool, back into their run."""
