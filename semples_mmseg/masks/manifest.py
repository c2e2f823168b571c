"""The settings that the masks of a folder were made with, the same for all of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from ..utils.errors import Missing, Refusal
from ..utils.files import file_digest, read_json
from ..utils.io import remove_leftovers, write_json

MANIFEST = 'pseudo_masks.json'


def checkpoint_entry(path: str | os.PathLike | None) -> dict[str, str] | None:
    """Path and SHA-256 of a checkpoint file, or None for a model that was not loaded from one.

    Raises:
        FileNotFoundError: If the file is missing.
    """
    if path is None:
        return None
    if not Path(path).is_file():
        raise Missing(f'Checkpoint {path} does not exist; check the path.')
    return dict(path=str(path), sha256=file_digest(path))


def _what_matters(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that decide the ids in a mask: not colours, nor the path of the checkpoint."""
    matters = {key: value for key, value in manifest.items() if key != 'palette'}
    if isinstance(matters.get('checkpoint'), dict):
        matters['checkpoint'] = matters['checkpoint'].get('sha256')
    return matters


def recorded_score(folder: str | os.PathLike, checkpoint: Mapping[str, str] | None) -> float | None:
    """Background score of the masks of a folder, if they were made with a checkpoint.

    Args:
        folder: The folder.
        checkpoint: See `checkpoint_entry`.

    Raises:
        ValueError: If the folder's manifest is not JSON.
    """
    manifest = _read(Path(folder) / MANIFEST)
    matters = _what_matters(manifest or {})
    if checkpoint is None or matters.get('checkpoint') != checkpoint['sha256']:
        return None
    return matters.get('background_score')


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        found = read_json(file)
        if not isinstance(found, dict):
            raise Refusal(f'{file} holds no JSON object')
    except ValueError as error:
        raise Refusal(f'{error}; delete the folder') from error
    return found


def open_folder(
    folder: str | os.PathLike,
    manifest: Mapping[str, Any],
    overwrite: bool = False,
    shared: bool = False,
) -> None:
    """Prepare a folder for masks of the given settings, or refuse it.

    A new or empty folder gets the manifest. In a folder of the same settings the masks are
    kept; they are complete, because they are written atomically. Temporary files of a killed run
    are removed. With ``overwrite`` the masks of a folder that has a manifest are deleted first.

    Args:
        folder: The folder; made if it is not there.
        manifest: Settings the masks are made with, a JSON object.
        overwrite: Whether to start anew in a folder that holds masks.
        shared: Whether other runs may be writing to the folder; their temporary files are kept.

    Raises:
        ValueError: If the folder holds masks of other settings, or PNG files without a manifest
            (``overwrite`` does not touch those either).
        OSError: If files cannot be written there.
    """
    folder = Path(folder)
    file = folder / MANIFEST
    manifest = json.loads(json.dumps(dict(manifest)))
    found = _read(file)
    if found is None:
        if folder.is_dir() and any(folder.rglob('*.png')):
            raise Refusal(
                f'{folder} holds PNG files but no {MANIFEST}: it is no folder of pseudo masks. '
                'Choose a new or empty folder.'
            )
    else:
        old, new = _what_matters(found), _what_matters(manifest)
        differing = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
        if differing and not overwrite:
            details = '; '.join(f'{k}: {old.get(k)} there, {new.get(k)} now' for k in differing)
            raise Refusal(
                f'{folder} holds pseudo masks of other settings ({details}). Choose another '
                'folder, or overwrite the masks (--overwrite).'
            )
        if not overwrite:
            if not shared:
                remove_leftovers(folder, recursive=True)
            return
        # masks first: after an interruption the manifest still fits the remaining masks
        masks = sorted(folder.rglob('*.png'))
        for mask in masks:
            mask.unlink()
        MMLogger.get_current_instance().info(f'Deleted {len(masks)} masks of {folder}.')
    if not shared:
        remove_leftovers(folder, recursive=found is not None)
    write_json(file, manifest)
