"""Weights by their names in timm: ``checkpoint='timm:deit_small_patch16_224.fb_in1k'``."""

from pathlib import Path

import huggingface_hub
import timm

from ..utils.errors import Missing
from .hub import PATIENCE, kept_file, reachable

TIMM = 'timm:'
_FILES = ('model.safetensors', 'pytorch_model.bin')


def timm_file(name: str) -> Path:
    """The file of a pretrained model of timm's; it is downloaded if it is not cached.

    Args:
        name: Model and tag, ``deit_small_patch16_224.fb_in1k``.

    Raises:
        FileNotFoundError: If timm has no such weights, or there is no connection.
    """
    there = timm.is_model(name.partition('.')[0])
    known = timm.get_pretrained_cfg(name, allow_unregistered=False) if there else None
    repository = known.hf_hub_id if known else None
    if not repository:
        raise Missing(f'timm has no pretrained weights {name!r}; timm.list_pretrained() lists them')
    repository = repository if '/' in repository else f'timm/{repository}'
    if (kept := kept_file(repository, _FILES)) is not None:
        return kept
    reason = f'no answer within {PATIENCE} s'
    if reachable(huggingface_hub.constants.ENDPOINT):
        try:
            return Path(huggingface_hub.hf_hub_download(repository, _FILES[0]))
        except Exception as error:  # the libraries that download raise different kinds
            reason = f'{type(error).__name__}: {error}'
    raise Missing(
        f'the weights {TIMM}{name} are not on disk and could not be downloaded ({reason}). Get '
        f'{_FILES[0]} of {repository} elsewhere'
    )
