"""Reading the tensors of a TorchScript archive, OpenAI's way of publishing CLIP, as data.

``torch.jit.load`` would compile the code of the archive and run what it asks to be run while it is
loaded (``__setstate__``); TorchScript is no Python, but it has operators that write files. Nothing
of the code is needed here: the tensors lie in ``data.pkl`` and ``data/``.
"""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoints import (
    Archive,
    CheckpointError,
    ForeignNameError,
    Names,
    PickleError,
    check_weights,
)
from ..checkpoints.tensors import DTYPES, Storages

# The causal mask is no weight, but a traced model of open_clip's has it among its buffers.
_CONSTANTS = ('attn_mask',)


class _Module:
    """Stands for a module of the archive; its attributes are those in the file."""

    def __init__(self, *_: Any) -> None:
        pass

    def set_state(self, state: Any) -> '_Module':
        """Take over attributes."""
        for name in state:
            if type(name) is not str:
                raise PickleError('it has a module with an attribute that has no name')
        vars(self).update(state)
        return self


def _nothing(*_: Any) -> None:
    """Stands for lists and devices, which no weight is made of."""


def _names(storages: Storages) -> Names:
    """Modules, tensors, and nothing else that could be called."""
    fixed: dict[str, Any] = {
        'torch._utils _rebuild_tensor_v2': storages.tensor,
        'collections OrderedDict': OrderedDict,
        'torch device': _nothing,
        **{f'torch {name}': dtype for name, dtype in DTYPES.items()},
    }

    def find(name: str) -> Any:
        package = name.split()[0] if name else ''
        if package == '__torch__' or package.startswith('__torch__.'):
            return _Module
        return _nothing if package == 'torch.jit._pickle' else fixed.get(name)

    return Names(find, {_Module: _Module.set_state})


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive; a damaged one is not."""
    with open(path, 'rb') as file:
        try:
            return Archive(file).is_torchscript
        except PickleError:
            return False


def read_archive(path: Path) -> dict[str, Tensor]:
    """Read the parameters and buffers of a TorchScript archive without running any of its code.

    Args:
        path: A file written by ``torch.jit.save``, for instance OpenAI's ``ViT-B-32.pt``.

    Returns:
        Tensors by their dotted names, on the CPU.

    Raises:
        CheckpointError: If the archive is damaged, names anything but modules and tensors, or
            holds values that are not finite.
    """
    try:
        with open(path, 'rb') as file:
            model = Archive(file).evaluate(_names)
    except ForeignNameError as error:
        raise CheckpointError(
            f'{path} was refused: {error}, though it could run code if it were. Get the weights '
            'elsewhere, or as safetensors'
        ) from error
    except PickleError as error:
        raise CheckpointError(f'{path} is not a readable TorchScript archive: {error}') from error
    tensors = dict(_walk(model, ''))
    if not tensors:
        raise CheckpointError(f'{path} holds no tensors')
    check_weights(tensors, str(path))
    return tensors


def _walk(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Dotted names and tensors of a module and those inside it."""
    if not isinstance(module, _Module):
        return
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            if name not in _CONSTANTS:
                yield prefix + name, value
        else:
            yield from _walk(value, f'{prefix}{name}.')
