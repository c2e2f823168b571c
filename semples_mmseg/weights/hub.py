"""Weights of timm and open_clip by their names: in a cache on disk, or downloaded on demand."""

import functools
import logging
import os
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
from mmengine.logging import print_log

from ..utils.errors import Missing

TIMM = 'timm:'
"""Prefix of weights by their names in timm, ``timm:deit_small_patch16_224.fb_in1k``."""
PATIENCE = 3
"""Seconds to wait for the server to answer."""
_PERMISSIVE = ('apache-2.0', 'mit', 'bsd-3-clause', 'cc-by-4.0', 'unknown')
_TIMM_FILES = ('model.safetensors', 'pytorch_model.bin')


def timm_file(name: str, download: bool | None = True) -> Path:
    """The file of weights of timm's (model.tag), downloaded if it is not cached.

    With ``download=False`` an empty path says that the server has it; with None, which asks no
    server, that it is not on this disk.
    """
    try:
        known = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:  # an unknown model or tag
        known = None
    if not known or not (repository := known.hf_hub_id):
        raise Missing(f'timm has no pretrained weights {name!r}; timm.list_pretrained() lists them')
    tell_licence(name)
    repository = repository if '/' in repository else f'timm/{repository}'
    if (kept := kept_file(repository, _TIMM_FILES)) is not None:
        return kept
    return _download(
        lambda: huggingface_hub.hf_hub_download(repository, _TIMM_FILES[0]),
        huggingface_hub.constants.ENDPOINT,
        f'the weights {TIMM}{name}',
        f'{_TIMM_FILES[0]} of {repository} elsewhere and name it: --backbone FILE of semples-mmseg '
        f'fit, weights:FILE in a config',
        download,
    )


@functools.cache
def tell_licence(name: str) -> None:
    """Log, once, the licence of weights by their name in timm if it is no permissive one."""
    licence = getattr(timm.get_pretrained_cfg(name), 'license', None)
    if licence and licence not in _PERMISSIVE:
        told = f'the weights {name} of timm have the licence {licence}, which may forbid commercial'
        print_log(f'{told} use', 'current', logging.WARNING)


def find_tag(model: str, tag: str, download: bool | None = True) -> tuple[Path, bool]:
    """The file of a tag of a model of open_clip's, and whether it was trained with QuickGELU.

    ``download`` as of ``timm_file``.
    """
    import open_clip  # as late as it is used, here and below: it takes long

    known = open_clip.pretrained.get_pretrained_cfg(model.replace('/', '-'), tag)
    if not known:
        tags = open_clip.list_pretrained_tags_by_model(model.replace('/', '-'))
        raise Missing(
            f'CLIP weights {tag!r} are neither a file nor a tag of {model!r}; its tags are '
            f'{", ".join(tags) or "none"}'
        )
    quick_gelu = bool(known.get('quick_gelu', False))
    if (kept := _kept_tag(known)) is not None:
        return kept, quick_gelu
    address = huggingface_hub.constants.ENDPOINT if known.get('hf_hub') else known['url']
    file = _download(
        lambda: open_clip.pretrained.download_pretrained(known),
        address,
        f'CLIP weights {tag!r} of {model!r}',
        f'{known.get("url") or known.get("hf_hub")!r} elsewhere and name it: --clip FILE of '
        'semples-mmseg fit, clip.pretrained=pretrained/ViT-B-32.pt in a config',
        download,
    )
    return file, quick_gelu


def kept_file(repository: str, names: tuple[str, ...]) -> Path | None:
    """The first of several files of a repository that Hugging Face's cache holds."""
    for name in names:
        found = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def reachable(address: str) -> bool:
    """Whether a server answers; the downloads themselves try for a minute."""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=PATIENCE).close()
            answers.put(True)
        except OSError as error:  # also an answer, such as "not found"
            answers.put(isinstance(error, urllib.error.HTTPError))

    # In a thread, because the look-up of the name has no time limit.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=PATIENCE)
    except queue.Empty:
        return False


def _kept_tag(known: Mapping[str, Any]) -> Path | None:
    """The file of a pretrained tag in the caches of Hugging Face and open_clip."""
    if known.get('hf_hub'):
        repository, name = os.path.split(known['hf_hub'])
        safe = f'{os.path.splitext(name)[0]}.safetensors'
        if not name:
            from open_clip import constants

            safe, name = constants.HF_SAFE_WEIGHTS_NAME, constants.HF_WEIGHTS_NAME
        return kept_file(repository, (safe, name))
    kept = Path('~/.cache/clip', os.path.basename(known['url'])).expanduser()
    return kept if kept.is_file() else None


def _download(
    fetch: Callable[[], str], address: str, what: str, way: str, download: bool | None
) -> Path:
    """Download a file if the server answers; the error says where else to get it."""
    if download is None:
        return Path()
    reason = f'no answer within {PATIENCE} s'
    if reachable(address):
        try:
            return Path(fetch() if download else '')
        except Exception as error:  # the libraries that download raise different kinds
            reason = f'{type(error).__name__}: {error}'
    raise Missing(
        f'{what} are not on disk and could not be downloaded from {address} ({reason}). Get {way}'
    )
