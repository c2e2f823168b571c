"""The layouts of published weights, and their names in our models.

========= ======================================== =============================================
kind      recognised by                            becomes
========= ======================================== =============================================
weaktr    ``adaptive_attention_fusion.*``          ``mask_generator.{backbone,head,fusion}.*``
prompts   ``prompts``, classes x tokens x width    ``prompt_learner.prompts``
segmenter ``encoder.blocks.*``, ``decoder.*``      ``backbone.*``, ``decode_head.*`` of MMSeg
deit      ``blocks.*`` (timm, torch-hub)           MMPretrain's names, without a prefix
own       anything else: MMPretrain's names, ours  itself
========= ======================================== =============================================
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..utils.errors import Refusal
from .reading import read_state_dict, resolve

# The ids of COCO's categories run from 1 to 90, but ten were never annotated. Published weights
# for COCO have an output for each id (index = id - 1); here there are the 80 that exist.
_NEVER_ANNOTATED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_CATEGORY_IDS = tuple(id_ for id_ in range(1, 91) if id_ not in _NEVER_ANNOTATED)
_COCO_OUTPUTS = 90

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
_FUSION = 'adaptive_attention_fusion.'
_FUSION_KEYS = (
    'attn_feat_ffn.0.weight',
    'attn_feat_ffn.0.bias',
    'attn_feat_ffn.1.weight',
    'attn_feat_ffn.1.bias',
    'attn_head_ffn.0.weight',
    'attn_head_ffn.2.weight',
)
_PROMPTS = 'prompts'
_BOTH = ('weight', 'bias')


@dataclass(frozen=True)
class Weights:
    """The tensors of a file under the names of this package, and the names that did not fit.

    Attributes:
        path: The file.
        layout: Recognised layout of the file.
        tensors: Tensors by our names.
        sources: For each of these, its name in the file.
        unused: Names in the file that the model does not have.
        missing: Our names of tensors that the file should have.
    """

    path: Path
    layout: str
    tensors: dict[str, Tensor]
    sources: dict[str, str]
    unused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for a log."""
        total = len(self.tensors) + len(self.unused)
        return describe(self, len(self.tensors), total, self.unused, self.missing)


def describe(
    weights: Weights, used: int, total: int, unused: Iterable[str], missing: Iterable[str]
) -> str:
    """File, layout, number of used tensors, names of unused and missing ones."""
    return (
        f'weights {weights.path}: {weights.layout}; {used} of {total} tensors used; '
        f'unused: {", ".join(sorted(unused)) or "none"}; '
        f'missing: {", ".join(sorted(missing)) or "none"}'
    )


def _vit_name(key: str) -> str:
    for pattern, replacement in _VIT_KEYS:
        key = re.sub(pattern, replacement, key)
    return key


def _depth(keys: Iterable[str], start: str) -> int:
    """Number of blocks in a file."""
    numbers = (key.removeprefix(start).split('.')[0] for key in keys if key.startswith(start))
    return max((int(number) + 1 for number in numbers if number.isdecimal()), default=0)


def _vit_names(keys: Iterable[str]) -> set[str]:
    """MMPretrain's names of a transformer with as many blocks as the file has."""
    block = ('ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')
    modules = [
        f'layers.{index}.{name}' for index in range(_depth(keys, 'blocks.')) for name in block
    ]
    modules += ['patch_embed.projection', 'ln1']
    scales = {_vit_name(key) for key in keys if re.search(r'^blocks\.\d+\.ls[12]\.gamma$', key)}
    return {'cls_token', 'pos_embed', *scales} | {f'{m}.{kind}' for m in modules for kind in _BOTH}


def _weaktr_name(key: str) -> str:
    if key.startswith(_FUSION):
        return 'mask_generator.fusion.' + key.removeprefix(_FUSION)
    if key.startswith('head.'):
        return 'mask_generator.' + key
    return 'mask_generator.backbone.' + _vit_name(key)


def _weaktr_names(keys: Iterable[str]) -> set[str]:
    backbone = _vit_names(keys) - {'ln1.weight', 'ln1.bias'}  # the final norm is not used
    parts = [f'backbone.{name}' for name in backbone]
    parts += [f'fusion.{name}' for name in _FUSION_KEYS] + [f'head.{kind}' for kind in _BOTH]
    return {f'mask_generator.{name}' for name in parts}


def _segmenter_name(key: str) -> str:
    if key.startswith('encoder.'):
        return 'backbone.' + _vit_name(key.removeprefix('encoder.'))
    for pattern, replacement in _DECODER_KEYS:
        key = re.sub(pattern, replacement, key)
    return key


def _segmenter_names(keys: Iterable[str]) -> set[str]:
    encoder = [key.removeprefix('encoder.') for key in keys if key.startswith('encoder.')]
    names = {f'backbone.{name}' for name in _vit_names(encoder)}
    block = ('ln1', 'ln2', 'attn.attn.out_proj', 'ffn.layers.0.0', 'ffn.layers.1')
    blocks = range(_depth(keys, 'decoder.blocks.'))
    modules = ['dec_proj', 'decoder_norm', 'mask_norm']
    modules += [f'layers.{index}.{name}' for index in blocks for name in block]
    parts = [f'{module}.{kind}' for module in modules for kind in _BOTH]
    parts += [f'layers.{index}.attn.attn.in_proj_{kind}' for index in blocks for kind in _BOTH]
    parts += ['cls_emb', 'patch_proj.weight', 'classes_proj.weight']
    return names | {f'decode_head.{name}' for name in parts}


@dataclass(frozen=True)
class _Layout:
    """A published layout: title, how it is recognised, new names, and expected names."""

    title: str
    recognises: Callable[[Mapping[str, Tensor]], bool]
    name: Callable[[str], str]
    names: Callable[[Iterable[str]], set[str]]


_LAYOUTS = {
    'weaktr': _Layout(
        'WeakTr or SemPLeS mask generator',
        lambda tensors: any(key.startswith(_FUSION) for key in tensors),
        _weaktr_name,
        _weaktr_names,
    ),
    'prompts': _Layout(
        'SemPLeS prompts',
        lambda tensors: _PROMPTS in tensors and tensors[_PROMPTS].ndim == 3,
        lambda key: f'prompt_learner.{key}',
        lambda keys: {'prompt_learner.prompts'},
    ),
    'segmenter': _Layout(
        'Segmenter (WeakTr)',
        lambda tensors: (
            any(key.startswith('encoder.blocks.') for key in tensors)
            and any(key.startswith('decoder.') for key in tensors)
        ),
        _segmenter_name,
        _segmenter_names,
    ),
    'deit': _Layout(
        'vision transformer of timm or torch-hub (DeiT)',
        lambda tensors: any(key.startswith('blocks.') for key in tensors),
        _vit_name,
        _vit_names,
    ),
}
KINDS = ('auto', *_LAYOUTS)


def read_weights(path: str | Path, kind: str = 'auto') -> Weights:
    """Read a file of weights and rename its tensors to our names.

    Published weights for COCO have 90 outputs; the 80 of annotated categories are taken.

    Args:
        path: See ``read_state_dict``.
        kind: One of ``KINDS``; ``'auto'`` recognises it by the names, and keeps names of no
            published layout.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it cannot be read safely or is not of that kind.
    """
    return name_weights(resolve(path), read_state_dict(path), kind)


def name_weights(path: Path, found: dict[str, Tensor], kind: str = 'auto') -> Weights:
    """Rename the tensors of a file to our names; see ``read_weights``.

    Args:
        path: The file.
        found: Its tensors.
        kind: One of ``KINDS``.
    """
    if kind == 'auto':
        kind = next((k for k, layout in _LAYOUTS.items() if layout.recognises(found)), 'own')
    elif not _LAYOUTS[kind].recognises(found):
        raise Refusal(
            f'{path} is not of kind {kind!r} ({_LAYOUTS[kind].title}): its tensors are '
            f'{", ".join(list(found)[:6])}, ...'
        )
    if kind == 'own':
        return Weights(path, 'names as they are', found, {key: key for key in found})
    layout = _LAYOUTS[kind]
    names = layout.names(found)
    sources = {layout.name(key): key for key in found if layout.name(key) in names}
    tensors = {name: found[key] for name, key in sources.items()}
    for name in ('decode_head.patch_proj.weight', 'decode_head.classes_proj.weight'):
        if kind == 'segmenter' and name in tensors:
            tensors[name] = tensors[name].T  # there it is multiplied from the right
    title = layout.title
    if kind in ('weaktr', 'prompts') and _outputs(tensors) == _COCO_OUTPUTS:
        tensors = {name: _annotated(name, value) for name, value in tensors.items()}
        title += f', {len(COCO_CATEGORY_IDS)} annotated of {_COCO_OUTPUTS} COCO categories taken'
    unused = tuple(sorted(set(found) - set(sources.values())))
    return Weights(path, title, tensors, sources, unused, tuple(sorted(names - tensors.keys())))


def _outputs(tensors: Mapping[str, Tensor]) -> int:
    """Number of classes of a generator or of prompts."""
    for name, axis in (
        ('mask_generator.backbone.cls_token', 1),
        ('mask_generator.head.weight', 0),
        ('prompt_learner.prompts', 0),
    ):
        if name in tensors:
            return tensors[name].shape[axis]
    return 0


def _annotated(name: str, value: Tensor) -> Tensor:
    """The rows of annotated categories of a tensor with 90 COCO outputs."""
    rows = torch.tensor(COCO_CATEGORY_IDS) - 1
    if name.endswith('.backbone.cls_token'):
        return value[:, rows]
    if name.endswith('.backbone.pos_embed'):  # class tokens first, then patches
        return torch.cat([value[:, rows], value[:, _COCO_OUTPUTS:]], dim=1)
    if name.startswith(('mask_generator.head.', 'prompt_learner.')):
        return value[rows]
    return value
