"""CLIP, frozen: image head, text head, and how their weights are found."""
