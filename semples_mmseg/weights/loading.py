"""Weights into a module, through any ``init_cfg``, checked and reported; or into a file of ours."""

import logging
import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.runner import CheckpointLoader
from mmseg.registry import WEIGHT_INITIALIZERS
from safetensors.torch import save
from torch import Tensor, nn

from ..utils.errors import Refusal
from ..utils.io import atomic_write
from ..utils.lists import name_some
from .hub import TIMM, timm_file
from .layouts import Weights, name_weights, read_weights
from .reading import SCHEME, find_tensors, read_checkpoint, resolve


def with_scheme(path: str) -> str:
    """Put ``weights:`` before a path, unless it is an address such as ``https://...``."""
    return path if path.startswith(SCHEME) or '://' in path else SCHEME + path


def load_weights(module: nn.Module, path: str, prefix: str | None = None) -> None:
    """Load a file of weights into a module and log which tensors were used.

    Only names with ``prefix`` are loaded, without it. If no name fits, those below ``backbone.``
    are tried, as MMPretrain names a whole classifier. Refused are files that cannot be read safely,
    have nothing for this module, or tensors of other shapes.
    """
    weights = read_weights(path)
    own = module.state_dict()
    if prefix is None:
        prefix = '' if own.keys() & weights.tensors.keys() else 'backbone.'
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    tensors = {
        name.removeprefix(prefix): value
        for name, value in weights.tensors.items()
        if name.startswith(prefix)
    }
    used = own.keys() & tensors.keys()
    if not used:
        raise Refusal(
            f'{weights.path} ({weights.layout}) has no tensor of {type(module).__name__}; its '
            f'parts are {", ".join(sorted({name.split(".")[0] for name in weights.tensors}))}. '
            'Take another file, or set init_cfg.prefix to the part that is meant, e.g. '
            "'mask_generator.', or to None"
        )
    if differing := _other_transformer(tensors, own):
        raise Refusal(
            f'{weights.path} is of another vision transformer than {type(module).__name__}: it has '
            f'{differing}. Take weights of DeiT, ViT or DINOv2 without registers (the latter has '
            'gamma: set layer_scale), or configs/semples/generators/voc_cam_timm-vit.py'
        )
    try:
        missing = module.load_state_dict(tensors, strict=False).missing_keys
    except (RuntimeError, ValueError, AssertionError) as error:  # the last of MMPretrain's
        raise Refusal(
            f'{weights.path} ({weights.layout}) does not fit {type(module).__name__}: '
            f'{misfit(tensors, own) or error}'
        ) from error
    told = weights.describe({prefix + name for name in used}, missing)
    print_log(told, 'current', logging.WARNING if missing else logging.INFO)


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedWeights(PretrainedInit):
    """``dict(type='Pretrained', checkpoint='weights:PATH', prefix=...)`` in MMSeg's scope.

    For ``weights:PATH`` and ``timm:NAME`` (weights by their name in timm, see ``timm_file``) every
    tensor must fit; see ``load_weights``. MMEngine loads all other paths, and initialises modules
    of the name ``Pretrained`` last.
    """

    def __call__(self, module: nn.Module) -> None:
        """Initialise a module."""
        if self.checkpoint.startswith(TIMM):
            path = str(timm_file(self.checkpoint.removeprefix(TIMM)))
        elif self.checkpoint.startswith(SCHEME):
            path = self.checkpoint.removeprefix(SCHEME)
        else:
            super().__call__(module)
            return
        load_weights(module, path, self.prefix)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_from_weights(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load ``weights:PATH`` for MMEngine, e.g. for ``load_from``, also to resume from."""
    del map_location  # weights are small and move with the model
    path = resolve(filename)
    content = read_checkpoint(path)
    weights = name_weights(path, find_tensors(content, path))
    print_log(weights.describe(weights.tensors), 'current')
    tensors = OrderedDict(weights.tensors)
    # Reaches the hooks that check a state dict, so that their errors name the file.
    tensors._metadata = {'': {'file': str(path)}}  # type: ignore[attr-defined]
    rest = content if 'state_dict' in content else {}
    return {**rest, 'state_dict': tensors}


def convert_file(source: str | Path, target: str | Path, kind: str = 'auto') -> Weights:
    """Convert a file of a published layout into ``target``; ``kind`` as of ``read_weights``.

    The result is ``{'state_dict': ..., 'meta': {'layout': ..., 'source': ...}}``: tensors and
    plain data, readable with ``torch.load(weights_only=True)`` and by MMEngine.
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


def save_half(state: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Write a state dict as safetensors, floating point values in float16."""
    halved = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in state.items()
    }
    with atomic_write(path, 'wb') as file:
        file.write(save(halved))


def _other_transformer(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What a file of a vision transformer has in another way than a model's own transformer."""
    if not {'cls_token', 'pos_embed', 'layers.0.ln1.weight'} <= own.keys():
        return ''
    positions = tensors.get('pos_embed', torch.ones(1, 0)).shape[1]
    blocks = [key.split('.', 2)[2] for key in tensors.keys() - own if key.startswith('layers.')]
    found = {
        'register tokens': tensors.keys() & {'reg_token', 'register_tokens', 'storage_tokens'},
        'a distillation token': 'dist_token' in tensors,
        'a norm before its blocks': 'norm_pre.weight' in tensors,
        'no class token': 'cls_token' not in tensors,
        'rotary or relative positions': not positions or any('attn.q_' in key for key in blocks),
        'no position of the class token': positions and math.isqrt(positions) ** 2 == positions,
        f'other blocks (with {name_some(sorted({*blocks}))})': blocks,
    }
    return ', '.join(what for what, there in found.items() if there)


def misfit(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Name the tensors of a file whose shape is not the model's own, or return an empty text.

    Position embeddings of another grid fit, and so does a single class token for several classes.
    """
    found = []
    for name in [name for name in tensors if name in own]:
        here, there = own[name].shape, tensors[name].shape
        one_token = name.endswith('cls_token') and there[1:2] == (1,)
        if here == there or one_token or name.endswith('pos_embed'):
            continue
        found.append(f'{name} is {(*there,)} there and {(*here,)} here')
    if not found:
        return ''
    more = f' and {len(found) - 3} more' if len(found) > 3 else ''
    return (
        f'{"; ".join(found[:3])}{more}. The number of classes, the width, patches or lengths '
        'differ: take the file of this model, or change the config'
    )


def check_state_dict(
    model: nn.Module,
    parts: Sequence[str],
    state_dict: Mapping[str, Tensor],
    prefix: str = '',
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Refuse a state dict that leaves one of the ``parts`` of a model at its random initial values.

    A pre-hook of ``load_state_dict``, as MMEngine loads without ``strict`` and only warns. All
    other tensors must fit in shape; ``metadata`` names the ``file``.
    """
    own = model.state_dict()
    given = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
    file = f'the checkpoint {(metadata or {}).get("file", "")}'.strip()
    if reason := misfit(given, own):
        raise Refusal(f'{file} does not fit {type(model).__name__}: {reason}')
    heads = tuple(f'{part}.' for part in parts)
    differing = {
        'it lacks': [k for k in own.keys() - given.keys() if not k.endswith('batches_tracked')],
        'it has unknown': given.keys() - own.keys(),
    }
    told = []
    for kind, found in differing.items():
        if names := sorted(name for name in found if name.startswith(heads)):
            told.append(
                f'{kind} {len(names)} ({", ".join(names[:3])}{", ..." if names[3:] else ""})'
            )
    if told:
        raise Refusal(
            f'{file} does not fit {type(model).__name__}: of the tensors of {" and ".join(parts)} '
            f'{", ".join(told)}; its first are {", ".join(list(state_dict)[:4])}. Take the '
            'checkpoint of this model. Files of other programs are read with load_from="weights:'
            'PATH" or converted by tools/model_converters/convert_weights.py; weights for a part '
            'go into init_cfg of that part'
        )
