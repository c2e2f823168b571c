"""Reading the tensors of a file without running anything it may contain."""

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...pretrained import FOLDER as SHIPPED

# DeiT's training script, and many after it, store their command line beside the weights. It is
# plain attributes; nothing in it is called.
torch.serialization.add_safe_globals([argparse.Namespace])


def resolve(path: str | Path) -> Path:
    """Find a file of weights on disk, or among those shipped with the package.

    Args:
        path: A path, or the bare name of a shipped file such as ``demo_backbone.safetensors``.

    Raises:
        FileNotFoundError: If there is no such file; the message says where it was looked for.
    """
    path = Path(path).expanduser()
    for candidate in (path, SHIPPED / path.name if path.parent == Path() else path):
        if candidate.is_file():
            return candidate
    shipped = ', '.join(sorted(file.name for file in SHIPPED.glob('*.safetensors')))
    raise FileNotFoundError(
        f'no weights at {path}: put the file there or change the path in the config '
        f'(shipped with the package are {shipped or "none"})'
    )


def refuse_cut_archive(path: Path) -> None:
    """Raise ValueError for a zip archive, as PyTorch writes them, whose end is missing."""
    with open(path, 'rb') as file:
        begins_as_zip = file.read(4) == b'PK\x03\x04'
    if begins_as_zip and not zipfile.is_zipfile(path):
        raise ValueError(
            f'{path} is not a readable checkpoint: the file is cut short; get it again'
        )


def _may_be_pickle(path: Path) -> bool:
    """Whether a file begins as zip archive or pickle; a web page saved by mistake does not."""
    with open(path, 'rb') as file:
        return file.read(1) in (b'P', b'\x80')


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint without running anything it may contain.

    Args:
        path: A ``.safetensors`` file or a PyTorch checkpoint; dictionaries under ``state_dict`` or
            ``model`` and the prefix ``module.`` are unwrapped.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is damaged, holds no tensors, or could run code when unpickled.
    """
    path = resolve(path)
    refuse_cut_archive(path)
    try:
        if path.suffix == '.safetensors':
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        if not _may_be_pickle(path):
            raise ValueError(
                f'{path} is not a readable checkpoint: it is damaged, or a file of another kind'
            ) from error
        raise ValueError(
            f'{path} was refused: it holds Python objects beside tensors, which could run code '
            f'when loaded. Save its state_dict alone, or convert it to safetensors. ({error})'
        ) from error
    except (SafetensorError, RuntimeError, EOFError, KeyError) as error:
        raise ValueError(f'{path} is not a readable checkpoint: {error}') from error
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds a {type(content).__name__}, not a dictionary of tensors')
    tensors = {
        key.removeprefix('module.'): value.detach()
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise ValueError(f'{path} holds no tensors')
    return tensors
