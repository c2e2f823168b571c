"""Reading the tensors of a TorchScript archive, OpenAI's way of publishing CLIP, as data.

``torch.jit.load`` would compile the code of the archive and run what it asks to be run while it is
loaded (``__setstate__``); TorchScript is no Python, but it has operators that write files. Nothing
of the code is needed here: the tensors lie in ``data.pkl`` and ``data/``.
"""

import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ..weights import refuse_cut_archive

_DTYPES = {
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'FloatStorage': torch.float32,
    'DoubleStorage': torch.float64,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'ShortStorage': torch.int16,
    'IntStorage': torch.int32,
    'LongStorage': torch.int64,
    'BoolStorage': torch.bool,
}
# The causal mask is no weight, but a traced model of open_clip's has it among its buffers.
_CONSTANTS = ('attn_mask',)


class _Module:
    """Stands for a module of the archive; unpickling fills in its attributes."""


def _rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _nothing(*_: Any) -> None:
    """Stands for lists and devices, which no weight is made of."""


class _TensorUnpickler(pickle.Unpickler):
    """Admits modules as empty shells, tensors, and nothing else that could be called."""

    def __init__(self, file: IO[bytes], read: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._read = read
        self._storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == '__torch__' or module.startswith('__torch__.'):
            return _Module
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return _rebuild_tensor
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if module == 'torch' and name in _DTYPES:
            return _DTYPES[name]
        if module == 'torch.jit._pickle' or (module, name) == ('torch', 'device'):
            return _nothing
        raise pickle.UnpicklingError(f'{module}.{name} is not admitted')

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, _, _ = pid
        if key not in self._storages:
            self._storages[key] = torch.frombuffer(bytearray(self._read(key)), dtype=dtype)
        return self._storages[key]


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    return zipfile.is_zipfile(path) and _root(path, 'constants.pkl') is not None


def _root(path: Path, name: str) -> str | None:
    """The folder of the archive that holds a file of this name."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            if re.fullmatch(rf'[^/]+/{re.escape(name)}', entry):
                return entry.split('/')[0]
    return None


def read_archive(path: Path) -> dict[str, Tensor]:
    """Read the parameters and buffers of a TorchScript archive without running any of its code.

    Args:
        path: A file written by ``torch.jit.save``, for instance OpenAI's ``ViT-B-32.pt``.

    Returns:
        Tensors by their dotted names, on the CPU.

    Raises:
        ValueError: If the archive is damaged, or names anything but modules and tensors.
    """
    refuse_cut_archive(path)
    try:
        root = _root(path, 'data.pkl')
        with zipfile.ZipFile(path) as archive, archive.open(f'{root}/data.pkl') as file:
            model = _TensorUnpickler(file, lambda key: archive.read(f'{root}/data/{key}')).load()
    except pickle.UnpicklingError as error:
        raise ValueError(
            f'{path} was refused: it names Python objects beside modules and tensors, which could '
            f'run code when loaded ({error})'
        ) from error
    except Exception as error:  # damage shows itself in many ways
        raise ValueError(f'{path} is not a readable TorchScript archive: {error}') from error
    tensors = dict(_walk(model, ''))
    if not tensors:
        raise ValueError(f'{path} holds no tensors')
    return tensors


def _walk(module: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Dotted names and tensors of a module and those inside it."""
    for name, value in getattr(module, '__dict__', {}).items():
        if isinstance(value, Tensor):
            if name not in _CONSTANTS:
                yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _walk(value, f'{prefix}{name}.')
