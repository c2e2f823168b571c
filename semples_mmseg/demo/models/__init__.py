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

import torch
from safetensors.torch import save
from torch import Tensor

from ...checkpoints import CheckpointError, read_checkpoint
from ...utils.io import atomic_write

FOLDER = Path(__file__).parent
CLIP_CONFIG = 'demo_clip.json'
CLIP_FILE = 'demo_clip.safetensors'
BACKBONE_FILE = 'demo_backbone.safetensors'
REPORT_FILE = 'demo_models.json'

# Of a full table; the demo's has 3.2 million.
_MOST_ELEMENTS = 1 << 23

TABLE, ROWS, SIZE = (f'token_embedding.{name}' for name in ('weight', 'rows', 'size'))


def demo_clip_config() -> dict:
    """The tiny CLIP's open_clip configuration: ``embed_dim``, ``vision_cfg``, ``text_cfg``."""
    return json.loads((FOLDER / CLIP_CONFIG).read_text(encoding='utf-8'))


def load_demo_clip(path: str | os.PathLike = FOLDER / CLIP_FILE) -> dict[str, Tensor]:
    """Read a tiny CLIP and expand it to the full state dict open_clip expects.

    Args:
        path: A file such as ``demo_clip.safetensors``.

    Returns:
        float32 state dict with ``token_embedding.weight`` (49408, 64); rows not in the file are
        zero.

    Raises:
        FileNotFoundError: If ``path`` does not exist.
        CheckpointError: If the file is not of this format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist; projects/demo_world/make_models.py makes these models'
        )
    state = read_checkpoint(path)
    if missing := {TABLE, ROWS, SIZE} - set(state):
        raise CheckpointError(f'{path} is no tiny CLIP of the demo: it lacks {sorted(missing)}')
    rows, size = _check_table(state[TABLE], state.pop(ROWS), state.pop(SIZE), path)
    state = {
        name: value.float() if value.is_floating_point() else value for name, value in state.items()
    }
    kept = state[TABLE]
    state[TABLE] = kept.new_zeros(size, kept.shape[1]).index_copy(0, rows, kept)
    return state


def _check_table(table: Tensor, rows: Tensor, size: Tensor, path: Path) -> tuple[Tensor, int]:
    """Ids of the rows of the full table and their number, if table and rows are of it."""
    whole = not rows.is_floating_point() and size.numel() == 1 and not size.is_floating_point()
    if not whole or table.ndim != 2 or rows.shape != table.shape[:1]:
        raise CheckpointError(f'{path} is no tiny CLIP of the demo: rows and ids do not fit')
    ids, number = rows.long(), int(size)
    if number * table.shape[1] > _MOST_ELEMENTS or not bool(((ids >= 0) & (ids < number)).all()):
        raise CheckpointError(
            f'{path} is no tiny CLIP of the demo: it claims a table of {number} rows of '
            f'{table.shape[1]}'
        )
    return ids, number


def save_demo_clip(
    state: Mapping[str, Tensor], rows: Iterable[int], size: int, path: str | os.PathLike
) -> None:
    """Write a tiny CLIP whose token table has only some rows.

    Args:
        state: State dict with ``token_embedding.weight`` (R, 64).
        rows: Ascending token ids of these R rows.
        size: Rows of the full table.
        path: The file to write.
    """
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
