"""The masks of a run as files of a label tool: ``semples-mmseg export``."""

from __future__ import annotations

from pathlib import Path

from ..utils.errors import Missing
from ..utils.label_png import mask_path
from ..utils.lists import name_some, read_image_ids
from .exports import writing
from .exports.formats import URL
from .exports.labelled import LabelledPhotos, labelled_folder
from .run import Run


def export(
    run: str | Path,
    format: str,
    path: str | Path,
    *,
    photos: str | Path | None = None,
    split: bool = False,
    url: str = URL,
    copy_photos: bool = False,
) -> LabelledPhotos:
    """Write the pseudo masks of a run in the format of a label tool.

    Args:
        run: Folder that was ``--out`` of ``semples-mmseg fit``.
        format: ``'coco'``, ``'labelme'``, ``'cvat'``, ``'labelstudio'``, ``'voc'`` or ``'yolo'``.
        path: The file or folder to write; a folder has to be new or empty.
        photos: Folder of the photos, if it was moved.
        split, url, copy_photos: See ``exports.writing.export``.

    Returns:
        The photos and masks that were written.

    Raises:
        FileNotFoundError: If there is no run, no mask, or a photo is missing.
        FileExistsError: If the folder holds files.
        ValueError: If there is no such format.
    """
    opened = Run.open(Path(run))
    folder = Path(photos or opened.read()['photos'])
    if not folder.is_dir():
        raise Missing(
            f'the photos of {run} are not at {folder} any more: give their folder with --photos'
        )
    ids = read_image_ids(str(opened.data / 'list.txt'))
    if missing := [i for i in ids if not mask_path(opened.masks, i).is_file()]:
        raise Missing(
            f'{run} has no masks yet of {name_some(missing)}: finish it with the command '
            'that began it, semples-mmseg fit'
        )
    labelled = labelled_folder(opened.masks, folder)
    writing.export(labelled, format, path, split, url, copy_photos)
    return labelled
