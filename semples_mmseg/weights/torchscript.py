"""Reading the tensors of a TorchScript archive, the format of OpenAI's CLIP, as data.

``torch.jit.load`` compiles the code of the archive and runs its ``__setstate__``. The code is not
needed: the tensors are in ``data.pkl`` and ``data/``.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..utils.errors import Refusal


class _Module:
    """Stands for a module of the archive, with its attributes from the file."""


def _nothing(*_: Any) -> None:
    """Stands for lists and devices, which no weight needs."""


class _ArchiveUnpickler(pickle.Unpickler):
    """Python's unpickler, restricted to modules and tensors."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive, self._root = archive, archive.namelist()[0].partition('/')[0]
        super().__init__(archive.open(f'{self._root}/data.pkl'))

    def find_class(self, module: str, name: str) -> Any:
        """Look up a type of the pickle."""
        if module == '__torch__' or module.startswith('__torch__.'):
            return _Module
        if module == 'torch.jit._pickle' or (module, name) == ('torch', 'device'):
            return _nothing
        if module == 'torch' and name.endswith('Storage'):
            return torch.storage._get_dtype_from_pickle_storage_type(name)
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return torch._utils._rebuild_tensor_v2
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        raise Refusal(f'it asks for {module}.{name}, which could run code')

    def persistent_load(self, reference: Any) -> Any:
        """Read the storage of a tensor."""
        _, dtype, key, *_ = reference
        data = bytearray(self._archive.read(f'{self._root}/data/{key}'))
        storage = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return torch.storage.TypedStorage(
            wrap_storage=storage.untyped_storage(), dtype=dtype, _internal=True
        )


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive; a damaged one is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.partition('/')[2] == 'constants.pkl' for name in archive.namelist())
    except Exception:  # zipfile raises errors of many types on damaged files
        return False


def read_archive(path: Path) -> dict[str, Tensor]:
    """The parameters and buffers of a TorchScript archive, on the CPU, by their dotted names.

    None of its code is run; damaged archives, and those that name anything but modules and tensors,
    are refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            model = _ArchiveUnpickler(archive).load()
        return dict(_walk(model, '')) if isinstance(model, _Module) else {}
    except Refusal as error:
        raise Refusal(
            f'{path} was refused: {error}; nothing of it was run. Get the weights elsewhere, or as '
            'safetensors'
        ) from None
    except Exception as error:  # damage shows itself as errors of many types
        raise Refusal(f'{path} is not a readable TorchScript archive: {error}') from error


def _walk(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Dotted names and tensors of a module and those inside it."""
    for name, value in vars(module).items():
        # The causal mask is no weight, but a buffer of open_clip's traced models.
        if isinstance(value, Tensor) and name != 'attn_mask':
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _walk(value, f'{prefix}{name}.')
