"""The masks of a run as files of a label tool: ``semples-mmseg export``."""

from __future__ import annotations

from pathlib import Path

from ..utils.errors import Missing
from ..utils.label_png import class_colours, mask_path
from ..utils.lists import name_some
from .exports import writing
from .exports.formats import URL
from .exports.labelled import LabelledPhotos
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
    folder = Path(photos or opened.entry().about['photos'])
    paths = opened.photo_paths(folder=folder)
    if missing := [i for i in paths if not mask_path(opened.masks, i).is_file()]:
        raise Missing(
            f'{run} has no masks yet of {name_some(missing)}: finish it with the command '
            'that began it, semples-mmseg fit'
        )
    classes = ('background', *opened.class_names())
    names = tuple(
        (path.relative_to(folder).as_posix(), f'{name}.png') for name, path in paths.items()
    )
    colours = class_colours(len(classes))
    labelled = LabelledPhotos(folder, opened.masks, classes, colours, names)
    writing.export(labelled, format, path, split, url, copy_photos)
    return labelled
