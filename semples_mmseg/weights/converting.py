"""Writing published weights as a file in our own names."""

from pathlib import Path

import torch

from ..utils.errors import Refusal
from ..utils.io import atomic_write
from .layouts import Weights, read_weights


def convert_file(source: str | Path, target: str | Path, kind: str = 'auto') -> Weights:
    """Convert a file of a published layout.

    The result is ``{'state_dict': ..., 'meta': {'layout': ..., 'source': ...}}``: tensors and
    plain data, readable with ``torch.load(weights_only=True)`` and by MMEngine.

    Args:
        source: See ``read_weights``.
        target: The file to write, atomically.
        kind: See ``read_weights``.

    Returns:
        The written tensors, and the names of the others.

    Raises:
        FileNotFoundError: If ``source`` is not there.
        ValueError: If it cannot be read safely, has no published layout, or is ``target``.
    """
    weights = read_weights(source, kind)
    if weights.sources.keys() == set(weights.sources.values()):
        raise Refusal(
            f'{weights.path} is of no published layout (its tensors are '
            f'{", ".join(list(weights.tensors)[:6])}, ...). Names of MMPretrain or of this package '
            'need no converting: give the file to the config or tool as it is'
        )
    if Path(target).resolve() == weights.path.resolve():
        raise Refusal(f'{target} would overwrite the file it is made from: name another')
    content = dict(
        # A clone does not save the larger storage that a slice belongs to.
        state_dict={name: value.clone() for name, value in weights.tensors.items()},
        meta=dict(layout=weights.layout, source=weights.path.name),
    )
    with atomic_write(target, 'wb') as file:
        torch.save(content, file)
    return weights
