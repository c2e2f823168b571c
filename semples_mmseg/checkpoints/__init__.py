"""Checkpoints as data: whatever a file asks for, nothing in it is run.

Importing the package makes MMEngine read its checkpoints this way too, see :mod:`.schemes`.
"""

from .containers import Archive
from .errors import CheckpointError, ForeignNameError, PickleError
from .machine import Names, evaluate
from .reading import check_weights, read_checkpoint, trust_checkpoints
from .schemes import check_checkpoint

__all__ = [
    'Archive',
    'CheckpointError',
    'ForeignNameError',
    'Names',
    'PickleError',
    'check_checkpoint',
    'check_weights',
    'evaluate',
    'read_checkpoint',
    'trust_checkpoints',
]
