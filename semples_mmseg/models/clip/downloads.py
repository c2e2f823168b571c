"""Files of open_clip's pretrained tags."""

import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
from open_clip import constants

# Seconds to wait for the server to answer.
_PATIENCE = 3


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
        raise FileNotFoundError(
            f'CLIP weights {tag!r} are neither a file nor a tag of {model!r}; its tags are '
            f'{", ".join(tags) or "none"}'
        )
    quick_gelu = bool(known.get('quick_gelu', False))
    if (kept := _cached(known)) is not None:
        return kept, quick_gelu
    reason = f'no answer within {_PATIENCE} s'
    if _reachable(_address(known)):
        try:
            return Path(open_clip.pretrained.download_pretrained(known)), quick_gelu
        except Exception as error:  # each of the download's libraries raises its own kind
            reason = f'{type(error).__name__}: {error}'
    raise FileNotFoundError(
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
        for wanted in (safe, name):
            found = huggingface_hub.try_to_load_from_cache(repository, wanted)
            if isinstance(found, str):
                return Path(found)
        return None
    kept = Path('~/.cache/clip', os.path.basename(known['url'])).expanduser()
    return kept if kept.is_file() else None


def _reachable(address: str) -> bool:
    """Whether a server answers; the downloads themselves try for a minute."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=_PATIENCE).close()
            answers.put(True)
        except OSError as error:  # an answer, if only that this address has no page
            answers.put(isinstance(error, urllib.error.HTTPError))

    # In a thread, as no time limit holds for the look-up of the name.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=_PATIENCE)
    except queue.Empty:
        return False
