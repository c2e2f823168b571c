"""One function for all formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..utils.io import atomic_write
from .coco import coco_json
from .folders import write_cvat, write_voc, write_yolo
from .formats import FORMATS
from .labelled import LabelledPhotos
from .labelme import labelme_files
from .labelstudio import labelstudio_config, labelstudio_tasks


def export(
    labelled: LabelledPhotos,
    format: str,
    path: str | Path,
    split: bool = False,
    url: str = '/data/local-files/?d=',
) -> None:
    """Write masks in the format of a label tool.

    Args:
        labelled: Photos and masks.
        format: One of ``FORMATS``.
        path: The file or folder to write; a folder has to be new or empty.
        split: COCO: one annotation for each connected piece of a class.
        url: Label Studio: what stands before the path of a photo.

    Raises:
        ValueError: If there is no such format.
        FileExistsError: If the folder holds files.
    """
    path = Path(path)
    if format not in FORMATS:
        raise ValueError(f'there is no export format {format!r}; there are {", ".join(FORMATS)}')
    if FORMATS[format] == 'a folder':
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f'{path} is there already: name a new folder')
        if format == 'labelme':
            for name, content in labelme_files(labelled, path).items():
                _write_json(path / name, content)
        else:
            {'voc': write_voc, 'yolo': write_yolo}[format](labelled, path)
    elif format == 'cvat':
        write_cvat(labelled, path)
    elif format == 'coco':
        _write_json(path, coco_json(labelled, split))
    else:
        _write_json(path, labelstudio_tasks(labelled, url))
        with atomic_write(path.with_suffix('.xml')) as file:
            file.write(labelstudio_config(labelled))


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as file:
        json.dump(content, file)
