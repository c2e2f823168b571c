"""Transforms of the weak-label pipelines."""
