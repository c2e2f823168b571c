"""The error of this package for checkpoints."""


class CheckpointError(ValueError):
    """A checkpoint was refused or cannot be read; the message has file, reason and fix."""
