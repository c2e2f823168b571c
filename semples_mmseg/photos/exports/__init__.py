"""Masks in the formats of label tools."""
