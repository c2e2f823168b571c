"""Files of open_clip's pretrained tags."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
from open_clip import constants

from ..utils.errors import Missing
from .hub import PATIENCE, kept_file, reachable


def find_tag(model: str, tag: str) -> tuple[Path, bool]:
    """Find the file of a pretrained tag of open_clip's; it is downloaded if it is not cached.

    Args:
        model: A model name of open_clip's.
        tag: A tag of that model.

    Returns:
        The file, and whether its weights were trained with QuickGELU.

    Raises:
        FileNotFoundError: If there is no such tag, or no connection.
    """
    known = open_clip.pretrained.get_pretrained_cfg(model.replace('/', '-'), tag)
    if not known:
        tags = open_clip.list_pretrained_tags_by_model(model.replace('/', '-'))
        raise Missing(
            f'CLIP weights {tag!r} are neither a file nor a tag of {model!r}; its tags are '
            f'{", ".join(tags) or "none"}'
        )
    quick_gelu = bool(known.get('quick_gelu', False))
    if (kept := _cached(known)) is not None:
        return kept, quick_gelu
    reason = f'no answer within {PATIENCE} s'
    if reachable(_address(known)):
        try:
            return Path(open_clip.pretrained.download_pretrained(known)), quick_gelu
        except Exception as error:  # the libraries that download raise different kinds
            reason = f'{type(error).__name__}: {error}'
    raise Missing(
        f'CLIP weights {tag!r} of {model!r} are not on disk and could not be downloaded from '
        f'{_address(known)} ({reason}). Get {known.get("url") or known.get("hf_hub")!r} elsewhere '
        "and set clip.pretrained to the file's path in the config, e.g. pretrained/ViT-B-32.pt"
    )


def _address(known: Mapping[str, Any]) -> str:
    """Where open_clip downloads a pretrained tag from."""
    return huggingface_hub.constants.ENDPOINT if known.get('hf_hub') else known['url']


def _cached(known: Mapping[str, Any]) -> Path | None:
    """The file of a pretrained tag in the caches of Hugging Face and open_clip."""
    if known.get('hf_hub'):
        repository, name = os.path.split(known['hf_hub'])
        safe = f'{os.path.splitext(name)[0]}.safetensors'
        if not name:
            safe, name = constants.HF_SAFE_WEIGHTS_NAME, constants.HF_WEIGHTS_NAME
        return kept_file(repository, (safe, name))
    kept = Path('~/.cache/clip', os.path.basename(known['url'])).expanduser()
    return kept if kept.is_file() else None
