"""The layouts of published weights, and their names in our models."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from torch import Tensor

from ..utils.errors import Refusal
from .reading import read_state_dict, resolve

# The ids of COCO's categories run from 1 to 90, but ten were never annotated. Published weights
# for COCO have an output for each id (index = id - 1); here there are the 80 that exist.
_NEVER_ANNOTATED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_CATEGORY_IDS = tuple(id_ for id_ in range(1, 91) if id_ not in _NEVER_ANNOTATED)
_COCO_OUTPUTS = 90
# Tensors with an entry for each class, class tokens first, and the axis of the classes.
_OUTPUTS = {
    'mask_generator.backbone.cls_token': 1,
    'mask_generator.backbone.pos_embed': 1,
    'mask_generator.head.weight': 0,
    'mask_generator.head.bias': 0,
    'prompt_learner.prompts': 0,
}

# Names of the parts of a vision transformer in timm and torch-hub; order matters.
_VIT_KEYS = (
    (r'^blocks\.', 'layers.'),
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^norm\.', 'ln1.'),
    (r'^(layers\.\d+)\.norm1\.', r'\1.ln1.'),
    (r'^(layers\.\d+)\.norm2\.', r'\1.ln2.'),
    (r'^(layers\.\d+)\.ls1\.gamma$', r'\1.attn.gamma1.weight'),
    (r'^(layers\.\d+)\.ls2\.gamma$', r'\1.ffn.gamma2.weight'),
    (r'^(layers\.\d+)\.mlp\.fc1\.', r'\1.ffn.layers.0.0.'),
    (r'^(layers\.\d+)\.mlp\.fc2\.', r'\1.ffn.layers.1.'),
)
# Segmenter's decoder, and the names of MMSeg's head.
_DECODER_KEYS = (
    (r'^decoder\.', 'decode_head.'),
    (r'\.proj_dec\.', '.dec_proj.'),
    (r'\.proj_patch$', '.patch_proj.weight'),
    (r'\.proj_classes$', '.classes_proj.weight'),
    (r'\.blocks\.', '.layers.'),
    (r'\.norm([12])\.', r'.ln\1.'),
    (r'\.attn\.qkv\.', '.attn.attn.in_proj_'),
    (r'\.attn\.proj\.', '.attn.attn.out_proj.'),
    (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
)
_TRANSPOSED = ('decode_head.patch_proj.weight', 'decode_head.classes_proj.weight')
_FUSION = 'adaptive_attention_fusion.'


@dataclass(frozen=True)
class Weights:
    """The tensors of a file by their names in this package.

    ``sources`` has the name of each in the file, ``unused`` the names that our models do not have.
    """

    path: Path
    layout: str
    tensors: dict[str, Tensor]
    sources: dict[str, str]
    unused: tuple[str, ...] = ()

    def describe(self, taken: Iterable[str], missing: Iterable[str] = ()) -> str:
        """One line for a log: file, layout, what a model took of it, and what the model lacks."""
        unused = sorted([*self.unused, *(self.sources[k] for k in self.sources.keys() - taken)])
        total = len(self.tensors) + len(self.unused)
        return (
            f'weights {self.path}: {self.layout}; {total - len(unused)} of {total} tensors used; '
            f'unused: {", ".join(unused) or "none"}; '
            f'missing: {", ".join(sorted(missing)) or "none"}'
        )


def _renamed(key: str, patterns: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in patterns:
        key = re.sub(pattern, replacement, key)
    return key


def _vit_name(key: str) -> str | None:
    return None if key.startswith(('head', _FUSION)) else _renamed(key, _VIT_KEYS)


def _weaktr_name(key: str) -> str | None:
    if key.startswith(_FUSION):
        return f'mask_generator.fusion.{key.removeprefix(_FUSION)}'
    if key.startswith('norm.'):  # the final norm is not used
        return None
    part = key if key.startswith('head.') else f'backbone.{_renamed(key, _VIT_KEYS)}'
    return f'mask_generator.{part}'


def _segmenter_name(key: str) -> str | None:
    if key.startswith('encoder.'):
        name = _vit_name(key.removeprefix('encoder.'))
        return name and f'backbone.{name}'
    return _renamed(key, _DECODER_KEYS)


class _Layout(NamedTuple):
    """A published layout: title, how some of its names begin, and our name of each or None."""

    title: str
    begins: str
    name: Callable[[str], str | None]


_LAYOUTS = {
    'weaktr': _Layout('WeakTr or SemPLeS mask generator', _FUSION, _weaktr_name),
    'prompts': _Layout('SemPLeS prompts', 'prompts', lambda key: f'prompt_learner.{key}'),
    'segmenter': _Layout('Segmenter (WeakTr)', 'encoder.blocks.', _segmenter_name),
    'efficientnet': _Layout('EfficientNet-Lite', '_blocks.', lambda key: f'timm_model.{key}'),
    'deit': _Layout('vision transformer of timm or torch-hub (DeiT)', 'blocks.', _vit_name),
}
KINDS = ('auto', *_LAYOUTS)


def read_weights(path: str | Path, kind: str = 'auto') -> Weights:
    """Read a file of weights and rename its tensors to our names; see ``read_state_dict``.

    Published weights for COCO have 90 outputs; the 80 of annotated categories are taken. ``kind``
    is one of ``KINDS``; ``'auto'`` recognises it by the names, and keeps those of no known layout.
    """
    return name_weights(resolve(path), read_state_dict(path), kind)


def name_weights(path: Path, found: dict[str, Tensor], kind: str = 'auto') -> Weights:
    """Rename the tensors of a file to our names; see ``read_weights``."""
    kinds = [
        k for k, layout in _LAYOUTS.items() if any(key.startswith(layout.begins) for key in found)
    ]
    if kind == 'auto' and not kinds:
        return Weights(path, 'names as they are', found, {key: key for key in found})
    if kind not in ('auto', *kinds):
        raise Refusal(
            f'{path} is not of kind {kind!r} ({_LAYOUTS[kind].title}): its tensors are '
            f'{", ".join(list(found)[:6])}, ...'
        )
    layout = _LAYOUTS[kinds[0] if kind == 'auto' else kind]
    places = _timm_names(path, found) if layout.begins == '_blocks.' else {}
    names = {key: layout.name(places.get(key, key)) for key in found}
    sources = {name: key for key, name in names.items() if name is not None}
    tensors = {name: found[key] for name, key in sources.items()}
    for name in tensors.keys() & _TRANSPOSED:
        tensors[name] = tensors[name].T  # there it is multiplied from the right
    title = layout.title
    counts = [tensors[name].shape[_OUTPUTS[name]] for name in _OUTPUTS if name in tensors]
    if counts and counts[0] == _COCO_OUTPUTS:
        title += f', {len(COCO_CATEGORY_IDS)} annotated of {_COCO_OUTPUTS} COCO categories taken'
        for name in tensors.keys() & _OUTPUTS:
            value, axis = tensors[name], _OUTPUTS[name]
            patches = range(_COCO_OUTPUTS, value.shape[axis])
            kept = torch.tensor([*(id_ - 1 for id_ in COCO_CATEGORY_IDS), *patches])
            tensors[name] = value.index_select(axis, kept)
    unused = tuple(sorted(key for key, name in names.items() if name is None))
    return Weights(path, title, tensors, sources, unused)


def _timm_names(path: Path, found: dict[str, Tensor]) -> dict[str, str]:
    """Names in timm of the tensors of an EfficientNet-Lite, which have the same order there."""
    shapes = [value.shape for value in found.values()]
    for size in range(5):
        with torch.device('meta'):
            own = timm.create_model(f'tf_efficientnet_lite{size}').state_dict()
        if [value.shape for value in own.values()] == shapes:
            return dict(zip(found, own, strict=True))
    raise Refusal(f'{path} is of another EfficientNet than EfficientNet-Lite0 to Lite4')
