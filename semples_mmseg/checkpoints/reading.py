"""Reading checkpoints without running anything in them."""

import io
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .containers import Archive, read_sequence
from .errors import CheckpointError, ForeignNameError, PickleError
from .tensors import names_of_checkpoints

_CHECKED_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_trusted = False


def trust_checkpoints(trust: bool = True) -> None:
    """Have this process run whatever a checkpoint asks for, from now on or no more.

    Only for files whose makers are known: they can do all that the user can.
    """
    global _trusted
    _trusted = trust


def read_checkpoint(source: str | Path | bytes, device: Any = 'cpu', name: str = '') -> Any:
    """Read a file of PyTorch's, or safetensors, as data.

    Args:
        source: Path of the file, or what is in it.
        device: Where its tensors shall be. What is no device, such as PyTorch's functions of
            storage and location, means the CPU.
        name: What errors call it; by default its path.

    Returns:
        What was saved: usually a dict. Tensors by name for safetensors.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged or forged, or asks for anything but tensors and data;
            unless :func:`trust_checkpoints` was called.
    """
    device = device if isinstance(device, (str, torch.device)) else 'cpu'
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), name, source, device)
    path = Path(source).expanduser()
    name = name or str(path)
    if not path.is_file():
        raise FileNotFoundError(f'no checkpoint at {name}: put the file there or change the path')
    if path.suffix == '.safetensors':
        try:
            return load_file(path, device=str(device))
        except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(f'{name} is not a readable checkpoint: {error}') from error
    with open(path, 'rb') as file:
        return _read(file, name, path, device)


def _read(file: IO[bytes], name: str, source: Path | bytes, device: Any) -> Any:
    begin = file.read(4)
    try:
        if begin == b'PK\x03\x04':
            archive = Archive(file)
            if archive.is_torchscript:
                raise PickleError('it is a TorchScript archive, a program; save its state_dict')
            return archive.evaluate(names_of_checkpoints, device)
        if begin[:1] == b'\x80':
            return read_sequence(file, device)
        raise PickleError('it is damaged, or a file of another kind')
    except ForeignNameError as error:
        if not _trusted:
            raise CheckpointError(
                f'{name} was refused: {error}, though it could run code if it were. Save its '
                'state_dict alone, or convert it to safetensors; if you trust whoever made it, '
                'tools/train.py and the other tools load it with --trust-checkpoint'
            ) from error
        print_log(
            f'{name} asks for {error.name}. As --trust-checkpoint demands, whatever it asks for '
            'is run now',
            'current',
            logging.WARNING,
        )
        return _run(source, device)
    except PickleError as error:
        raise CheckpointError(f'{name} is not a readable checkpoint: {error}') from error


def _run(source: Path | bytes, device: Any) -> Any:
    """Unpickle in full, at the user's explicit wish."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    return torch.load(file, map_location=device, weights_only=False)


def check_weights(tensors: Mapping[str, Any], name: str) -> None:
    """Refuse weights that are not finite.

    Args:
        tensors: Tensors by name; what is no tensor of floating point numbers is passed over.
        name: Of their file.

    Raises:
        CheckpointError: If one holds NaN or infinity; the message names file and tensor.
    """
    for key, value in tensors.items():
        if not isinstance(value, Tensor) or value.dtype not in _CHECKED_TYPES or not value.numel():
            continue
        extremes = [float(x) for x in torch.aminmax(value.detach())]
        if not all(map(math.isfinite, extremes)):
            raise CheckpointError(
                f'{name}: its tensor {key} holds values that are not finite '
                f'({", ".join(sorted({str(x) for x in extremes if not math.isfinite(x)}))}). The '
                'run that wrote it had gone wrong, or the file is damaged: take an earlier one'
            )
