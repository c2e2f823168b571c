"""The error of this package for checkpoints."""

from ..utils.errors import Refusal


class CheckpointError(Refusal):
    """A checkpoint was refused or cannot be read; the message has file, reason and fix."""
