"""Building a CLIP model over open_clip: any of its models, weights by name or from a file."""

import copy
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Missing, Refusal
from ...utils.files import read_json
from ...utils.lists import name_some
from ...weights import read_state_dict, read_weights, resolve, save_half
from ...weights.hub import find_tag, reachable
from ...weights.torchscript import is_torchscript

# Only OpenAI's files have these entries beside the tensors.
_OPENAI_KEYS = ('input_resolution', 'context_length', 'vocab_size')
# A small file has only the token embeddings in use: their ids, and the length of the whole table.
_TABLE, _ROWS, _SIZE = (f'token_embedding.{name}' for name in ('weight', 'rows', 'size'))
# A file that every tokenizer of Hugging Face has.
_SETTINGS = 'tokenizer_config.json'


def _model_config(model: str | dict[str, Any]) -> dict[str, Any]:
    """The open_clip config for a name, a JSON file or a dictionary."""
    if isinstance(model, dict):
        return copy.deepcopy(model)
    if model.endswith('.json'):
        return read_json(resolve(model), 'CLIP config')
    import open_clip  # as late as it is used, here and below: it takes long

    config = open_clip.get_model_config(model.replace('/', '-'))
    if config is None:
        raise Refusal(
            f'unknown CLIP model {model!r}; known are {", ".join(open_clip.list_models())}, '
            'or the path of an open_clip JSON config'
        )
    return copy.deepcopy(config)


def _read_clip(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Tensors of a CLIP checkpoint, and whether the file is one of OpenAI's."""
    tensors = read_state_dict(path)
    # OpenAI publishes TorchScript archives.
    is_openai = is_torchscript(path) or all(key in tensors for key in _OPENAI_KEYS)
    for key in _OPENAI_KEYS:
        tensors.pop(key, None)
    rows, size = tensors.pop(_ROWS, None), int(tensors.pop(_SIZE, 0))
    tensors = {key: value.float() for key, value in tensors.items()}
    if rows is not None and _TABLE in tensors:
        kept = tensors[_TABLE]
        tensors[_TABLE] = kept.new_zeros(size, kept.shape[1]).index_copy(0, rows.long(), kept)
    return tensors, is_openai


def save_small_clip(
    state: Mapping[str, Tensor], rows: Sequence[int], size: int, path: str | os.PathLike
) -> None:
    """Write a CLIP of open_clip's in float16, with the token embeddings in use alone.

    Args:
        state: Its tensors; ``token_embedding.weight`` is (R, C). Without ``visual.trunk.`` the
            model's config has ``trunk_weights``, see ``build_clip``.
        rows: Ascending token ids of the R embeddings. ``build_clip`` makes all others zero.
        size: Tokens of the tokenizer.
        path: A file of safetensors.
    """
    ids, length = (torch.tensor(value, dtype=torch.int32) for value in (rows, size))
    save_half({**state, _ROWS: ids, _SIZE: length}, path)


@MODELS.register_module('OpenCLIP')
def build_clip(
    model: str | dict[str, Any] = 'ViT-B-32',
    pretrained: str | None = 'openai',
    quick_gelu: bool | None = None,
    tokenizer: str | None = None,
) -> Any:
    """Build a CLIP model on the CPU in fp32.

    Args:
        model: A model name of open_clip's, the path of a JSON config in open_clip's form, or such
            a config as a dictionary; `preprocess_cfg` in it names mean and std (0..1) of images,
            which otherwise are those of the tag, of the config beside the file, or OpenAI's, and
            `trunk_weights` a file (see ``resolve``) with the image trunk that the weights lack.
        pretrained: A tag of open_clip's (downloaded when it is not in its cache), the path of a
            checkpoint (OpenAI's archive or state dict, open_clip's, safetensors), or ``None`` for
            random weights.
        quick_gelu: Whether the activations are QuickGELU. ``None`` takes what the weights were
            trained with, known from OpenAI's files, from tags, and from an
            ``open_clip_config.json`` beside a file; for other files the config decides.
        tokenizer: Folder, or name on Hugging Face's hub, of a tokenizer that replaces the config's.
            ``None`` takes the config's. If that is one of Hugging Face's and tokenizer files are
            beside the weights, these are taken instead.

    Returns:
        An ``open_clip.CLIP``, ``CustomTextCLIP`` or ``CoCa``, in eval mode, with the tokenizer as
        its attribute ``tokenizer``.

    Raises:
        FileNotFoundError: If the weights are not on disk and cannot be downloaded.
        ValueError: If the model is unknown, takes no learned prompts or lacks its tokenizer, or the
            weights are of another model.
    """
    config = _model_config(model)
    name = model if isinstance(model, str) else 'of clip.model'
    text_cfg = config['text_cfg']
    if 'hf_model_name' in text_cfg:
        raise Refusal(
            f'the text encoder of the CLIP model {name} is {text_cfg["hf_model_name"]!r} of '
            'Hugging Face, which takes no learned prompts: set clip.model to a model with a text '
            "transformer of open_clip's own, e.g. ViT-B-16, coca_ViT-B-32 or ViT-B-16-SigLIP"
        )
    if pretrained is not None and tokenizer is None and text_cfg.get('hf_tokenizer_name'):
        folder = Path(pretrained).parent
        tokenizer = str(folder) if (folder / _SETTINGS).is_file() else None
    words = _find_tokenizer(text_cfg, tokenizer, name)
    tensors: dict[str, Tensor] | None = None
    preprocessing: dict[str, Any] = {}
    if pretrained is not None:
        if Path(pretrained).suffix != '' or Path(pretrained).exists():
            path = resolve(pretrained)
            file = path.parent / 'open_clip_config.json'  # as in open_clip's downloads
            beside = read_json(file, 'CLIP config') if file.is_file() else {}
            quick = beside.get('model_cfg', {}).get('quick_gelu', False)
            preprocessing = beside.get('preprocess_cfg', {})
        elif isinstance(model, str) and not model.endswith('.json'):
            from open_clip import get_pretrained_cfg

            path, quick = find_tag(model, pretrained)
            preprocessing = get_pretrained_cfg(model.replace('/', '-'), pretrained)
        else:
            raise Missing(
                f'CLIP weights {pretrained!r} are not a file, and tags exist for open_clip '
                'model names only'
            )
        tensors, openai = _read_clip(path)
        if quick_gelu is None and (quick or openai):
            quick_gelu = True
    if quick_gelu is not None:
        config['quick_gelu'] = quick_gelu
    preprocessing = config.pop('preprocess_cfg', preprocessing)
    trunk = config.pop('trunk_weights', None)
    clip = untrained_clip(config)
    clip.tokenizer = words
    clip.visual.preprocess_cfg = {key: preprocessing.get(key) for key in ('mean', 'std')}
    if tensors is None:
        print_log(f'CLIP {model} has random weights (pretrained=None)', 'current')
        return clip
    if trunk is not None:
        own, prefix = clip.state_dict(), 'visual.trunk.'
        found = read_weights(trunk, 'efficientnet').tensors
        found = {prefix + name.partition('.')[2]: value for name, value in found.items()}
        tensors |= {name: value for name, value in found.items() if name in own}
    load_clip(clip, tensors, f'the CLIP weights {pretrained} do not fit the model {name}')
    activation = 'QuickGELU' if config.get('quick_gelu') else 'GELU'
    print_log(f'CLIP {pretrained}: all {len(tensors)} tensors used; {activation}', 'current')
    return clip


def untrained_clip(config: dict[str, Any]) -> Any:
    """Build open_clip's model of a config, in eval mode, with random weights."""
    import open_clip

    config = dict(config)
    kind = open_clip.CustomTextCLIP if config.pop('custom_text', False) else open_clip.CLIP
    return (open_clip.CoCa if 'multimodal_cfg' in config else kind)(**config).eval()


def as_clip(clip: nn.Module | dict[str, Any]) -> Any:
    """Build a CLIP model from a config, whose ``type`` is ``OpenCLIP`` by default."""
    return clip if isinstance(clip, nn.Module) else MODELS.build({'type': 'OpenCLIP', **clip})


def load_clip(clip: nn.Module, tensors: dict[str, Tensor], complaint: str) -> None:
    """Load the tensors of either of open_clip's text layouts, all of them, or raise ValueError."""
    from open_clip import model as layouts

    own = clip.state_dict()
    wants_text, has_text = (any(k.startswith('text.') for k in keys) for keys in (own, tensors))
    if wants_text and not has_text:
        tensors = layouts.convert_to_custom_text_state_dict(tensors)
    for name in {'logit_scale', 'logit_bias'} & own.keys() & tensors.keys():
        # A number in some files, a vector of one number in others.
        tensors[name] = tensors[name].reshape(own[name].shape)
    if own.keys() == tensors.keys():
        layouts.resize_pos_embed(tensors, clip)
    problems = {
        'missing': own.keys() - tensors.keys(),
        'unknown': tensors.keys() - own.keys(),
        'of another shape': {
            f'{key} {(*value.shape,)} instead of {(*own[key].shape,)}'
            for key, value in tensors.items()
            if key in own and value.shape != own[key].shape
        },
    }
    told = [f'{kind}: {name_some(sorted(names))}' for kind, names in problems.items() if names]
    if told:
        raise Refusal(
            f'{complaint}; tensors: {"; ".join(told)}. Set clip.model to the model the '
            'weights are of, or clip.pretrained to weights of the model'
        )
    clip.load_state_dict(tensors, strict=True)


def _find_tokenizer(text_cfg: dict[str, Any], source: str | None, model: str) -> Any:
    """The tokenizer of a config, or of another ``source``; downloaded if it is not on disk."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    options = dict(text_cfg.get('tokenizer_kwargs') or {})
    options['context_length'] = text_cfg.get('context_length', 77)
    source = source or text_cfg.get('hf_tokenizer_name')
    if not source:
        return SimpleTokenizer(**options)
    # Code that comes with a tokenizer does not run.
    options |= dict(tokenizer_mode=text_cfg.get('tokenizer_mode'), trust_remote_code=False)
    server = huggingface_hub.constants.ENDPOINT
    # MMPretrain cannot be imported beside transformers 5.
    reason = "transformers is not installed: pip install 'transformers>=4.53,<5'"
    places = (True,) if Path(source).is_dir() else (True, False)
    for local in places if importlib.util.find_spec('transformers') else ():
        if not local and not reachable(server):
            reason = f'it is not on disk, and {server} gave no answer'
            break
        try:
            return HFTokenizer(source, local_files_only=local, **options)
        except Exception as error:  # each kind of tokenizer raises its own
            reason = f'it cannot be read ({type(error).__name__}: {error})'
    raise Refusal(
        f'the CLIP model {model} needs the tokenizer {source!r}, and {reason}. If its files are '
        f'elsewhere, set clip.tokenizer to the folder with tokenizer.json and {_SETTINGS}; models '
        'with the vocabulary of CLIP, e.g. clip.model=ViT-B-16, need no files'
    )
