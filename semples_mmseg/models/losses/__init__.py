"""Losses: one equation, one file."""
