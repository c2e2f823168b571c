"""Small pretrained models of the demo world, shipped with the package, and their file format.

``demo_clip.json``
    open_clip configuration of the tiny CLIP.
``demo_clip.safetensors``
    Its weights in float16 under open_clip's names. Of the token table, 3.2 of 4.6 million
    parameters, only the rows in use are kept: ``token_embedding.weight`` is (R, 64),
    ``token_embedding.rows`` int32 (R,) holds their token ids in ascending order and
    ``token_embedding.size`` the number of rows of the full table, 49408. All others are zero.
``demo_backbone.safetensors``
    Weights in float16 of a small MMPretrain ``VisionTransformer`` under its own names, the demo's
    stand-in for an ImageNet checkpoint.
``demo_models.json``
    Seed and measured checks of both.

All but the configuration were made by ``projects/demo_world/make_models.py``.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmseg.registry import MODELS
from safetensors.torch import save
from torch import Tensor

from ...models.clip.loading import load_clip, untrained_clip
from ...utils.errors import Missing, Refusal
from ...utils.io import atomic_write
from ...weights import read_state_dict

FOLDER = Path(__file__).parent
CLIP_CONFIG = 'demo_clip.json'
CLIP_FILE = 'demo_clip.safetensors'
BACKBONE_FILE = 'demo_backbone.safetensors'
REPORT_FILE = 'demo_models.json'

TABLE, ROWS, SIZE = (f'token_embedding.{name}' for name in ('weight', 'rows', 'size'))


def demo_clip_config() -> dict:
    """The tiny CLIP's configuration for open_clip."""
    return json.loads((FOLDER / CLIP_CONFIG).read_text(encoding='utf-8'))


def load_demo_clip(path: str | os.PathLike = FOLDER / CLIP_FILE) -> dict[str, Tensor]:
    """Read a tiny CLIP as the float32 state dict that open_clip expects.

    Rows of ``token_embedding.weight`` (49408, 64) that are not in the file are zero.
    """
    path = Path(path)
    if not path.is_file():
        raise Missing(
            f'{path} does not exist; projects/demo_world/make_models.py makes these models'
        )
    state = read_state_dict(path)
    if missing := {TABLE, ROWS, SIZE} - set(state):
        raise Refusal(f'{path} is no tiny CLIP of the demo: it lacks {sorted(missing)}')
    rows, size = state.pop(ROWS).long(), int(state.pop(SIZE))
    state = {name: value.float() for name, value in state.items()}
    kept = state[TABLE]
    state[TABLE] = kept.new_zeros(size, kept.shape[1]).index_copy(0, rows, kept)
    return state


@MODELS.register_module('DemoCLIP')
def build_demo_clip(pretrained: str | os.PathLike = FOLDER / CLIP_FILE) -> Any:
    """Build the tiny CLIP, an ``open_clip.CLIP``, in fp32 on the CPU.

    Args:
        pretrained: See ``load_demo_clip``.

    Raises:
        FileNotFoundError: If ``pretrained`` does not exist.
        ValueError: If it is not a tiny CLIP.
    """
    clip = untrained_clip(demo_clip_config())
    load_clip(clip, load_demo_clip(pretrained), f'{pretrained} is no tiny CLIP of the demo')
    return clip


def save_demo_clip(
    state: Mapping[str, Tensor], rows: Iterable[int], size: int, path: str | os.PathLike
) -> None:
    """Write a tiny CLIP whose token table has R of ``size`` rows, of the ascending ids ``rows``."""
    ids = torch.tensor(list(rows), dtype=torch.int32)
    save_half({**state, ROWS: ids, SIZE: torch.tensor(size, dtype=torch.int32)}, path)


def save_half(state: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Write a state dict as safetensors, floating point values in float16."""
    halved = {
        name: (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in state.items()
    }
    with atomic_write(path, 'wb') as file:
        file.write(save(halved))
