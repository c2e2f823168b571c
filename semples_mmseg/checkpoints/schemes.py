"""MMEngine's ways of getting a checkpoint, all of them ending in our reader.

MMEngine's own try ``torch.load(weights_only=True)`` and, for what that refuses, unpickle in full;
from the network they unpickle in full at once. Importing this module replaces them for the whole
process: ``load_from``, ``resume``, ``init_cfg`` and every other use of ``CheckpointLoader``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    _get_mmengine_home,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from .errors import CheckpointError
from .reading import check_weights, read_checkpoint

# What the names of :class:`StageSwitchHook` and MMEngine stand for in a checkpoint.
_WEIGHTS, _SNAPSHOTS = 'state_dict', 'stage_snapshots'


def check_checkpoint(content: Any, name: str) -> dict:
    """Refuse what MMEngine could not load into a model, or should not.

    Args:
        content: Of a checkpoint: a dict with weights under ``state_dict``, or of weights alone.
        name: Of its file.

    Returns:
        The content.

    Raises:
        CheckpointError: If there are no weights, or some are not finite.
    """
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{name} holds a {type(content).__name__}, not a dictionary of tensors'
        )
    snapshots = content.get(_SNAPSHOTS, {})
    if not isinstance(snapshots, dict):
        raise CheckpointError(f'{name}: its {_SNAPSHOTS} are no dictionary')
    groups = {'': content.get(_WEIGHTS, content), **snapshots}
    for part, tensors in groups.items():
        if not isinstance(tensors, dict) or not all(isinstance(key, str) for key in tensors):
            raise CheckpointError(f'{name}: its weights {part} are no dictionary of tensors')
        check_weights(tensors, name)
    if 'optimizer' in content:
        meta = content.get('meta')
        if not isinstance(meta, dict) or not all(
            type(meta.get(key)) is int and meta[key] >= 0 for key in ('epoch', 'iter')
        ):
            raise CheckpointError(f'{name} cannot be resumed: its meta lacks epoch and iter')
    return content


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Load the file at a path."""
    return check_checkpoint(read_checkpoint(filename, map_location), filename)


def load_from_http(filename: str, map_location: Any = None) -> dict:
    """Load a file from the network, once: it is kept in the cache of ``torch.hub``."""
    kept = Path(torch.hub.get_dir()) / 'checkpoints' / Path(urlparse(filename).path).name
    for turn in (True, False):  # the main process first
        if (get_rank() == 0) == turn and not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(filename, str(kept))
        barrier()
    content = read_checkpoint(kept, map_location, f'{filename} (kept as {kept})')
    return check_checkpoint(content, filename)


def load_from_ceph(filename: str, map_location: Any = None) -> dict:
    """Load a file from a store that MMEngine's file backend ``petrel`` knows."""
    data = get_file_backend(filename, backend_args=dict(backend='petrel')).get(filename)
    return check_checkpoint(read_checkpoint(bytes(data), map_location, filename), filename)


def load_from_torchvision(filename: str, map_location: Any = None) -> dict:
    """Load torchvision's weights of a model by the model's name."""
    return load_from_http(_lookup(get_torchvision_models(), filename), map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict:
    """Load OpenMMLab's weights of a model by the model's name."""
    models, name = get_external_models(), filename.split('://', 1)[1]
    place = _lookup(models, get_deprecated_model_names().get(name, name))
    if place.startswith(('http://', 'https://')):
        return load_from_http(place, map_location)
    return load_from_local(str(Path(_get_mmengine_home()) / place), map_location)


def load_from_mmcls(filename: str, map_location: Any = None) -> dict:
    """Load the backbone of a classifier of MMClassification's by the classifier's name."""
    content = load_from_http(_lookup(get_mmcls_models(), filename), map_location)
    weights = content.get(_WEIGHTS, content)
    head = 'backbone.'
    return {_WEIGHTS: {k.removeprefix(head): v for k, v in weights.items() if k.startswith(head)}}


def load_from_pavi(filename: str, map_location: Any = None) -> dict:
    """Refuse: this store's client cannot be checked."""
    raise CheckpointError(f'{filename}: get the file from Pavi yourself and give its path')


def _lookup(models: Mapping[str, str], name: str) -> str:
    key = name.rsplit('://', 1)[-1]
    if key not in models:
        raise CheckpointError(f'{name}: there is no model of this name to be loaded')
    return models[key]


_LOADERS = {
    ('',): load_from_local,
    ('http://', 'https://'): load_from_http,
    (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_ceph,
    ('modelzoo://', 'torchvision://'): load_from_torchvision,
    ('open-mmlab://', 'openmmlab://'): load_from_openmmlab,
    ('mmcls://',): load_from_mmcls,
    ('pavi://',): load_from_pavi,
}
for _prefixes, _loader in _LOADERS.items():
    CheckpointLoader.register_scheme(prefixes=_prefixes, loader=_loader, force=True)
