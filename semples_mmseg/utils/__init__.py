"""Helpers shared by the rest of the package."""
