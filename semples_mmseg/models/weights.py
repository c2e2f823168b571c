"""Reading weights made elsewhere: safely, and into MMPretrain's key names.

Any ``init_cfg`` of MMEngine can use this reader through the prefix ``weights:``, e.g.
``dict(type='Pretrained', checkpoint='weights:deit_small_patch16_224-cd65a155.pth')``.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..pretrained import FOLDER as SHIPPED

# timm and torch-hub name the parts of a vision transformer so; order matters.
_VIT_KEYS = (
    (r'^blocks\.', 'layers.'),
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^norm\.', 'ln1.'),
    (r'^(layers\.\d+)\.norm1\.', r'\1.ln1.'),
    (r'^(layers\.\d+)\.norm2\.', r'\1.ln2.'),
    (r'^(layers\.\d+)\.mlp\.fc1\.', r'\1.ffn.layers.0.0.'),
    (r'^(layers\.\d+)\.mlp\.fc2\.', r'\1.ffn.layers.1.'),
)


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
    try:
        if path.suffix == '.safetensors':
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
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
        key.removeprefix('module.'): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise ValueError(f'{path} holds no tensors')
    return tensors


def to_mmpretrain_vit(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of a timm or torch-hub vision transformer (DeiT) to MMPretrain's.

    Keys in MMPretrain's names already, and keys of anything else, stay as they are.
    """
    if not any(key.startswith('blocks.') for key in state_dict):
        return state_dict
    renamed = {}
    for key, value in state_dict.items():
        for pattern, replacement in _VIT_KEYS:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


@CheckpointLoader.register_scheme(prefixes='weights:', force=True)
def _load_weights(filename: str, map_location: Any = None) -> dict[str, dict[str, Tensor]]:
    """Serve ``weights:PATH`` to MMEngine."""
    del map_location  # weights are few and move with the model
    return dict(state_dict=to_mmpretrain_vit(read_state_dict(filename.removeprefix('weights:'))))
