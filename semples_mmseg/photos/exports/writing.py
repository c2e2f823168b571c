"""Writing masks in any of the formats."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from ...utils.errors import AlreadyThere, Missing, Refusal
from ...utils.io import atomic_write, remove_leftovers, write_json
from ...utils.label_png import class_colours, mask_path
from ...utils.lists import name_some
from ..run import Run
from . import FOLDERS_OF_PHOTOS, FORMATS, URL
from .folders import write_cvat, write_voc, write_yolo
from .json_formats import coco_json, labelstudio_config, labelstudio_tasks, write_labelme
from .labelled import LabelledPhotos


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
    """Write the pseudo masks of a run in the format of a label tool, and return what was written.

    Args:
        run: Folder that was ``--out`` of ``semples-mmseg fit``.
        format: ``'coco'``, ``'labelme'``, ``'cvat'``, ``'labelstudio'``, ``'voc'`` or ``'yolo'``.
        path: The file or folder to write; a file has to be new, a folder new or empty.
        photos: Folder of the photos, if it was moved.
        split: COCO: one annotation for each connected piece of a class.
        url: Label Studio: prefix of the path of a photo.
        copy_photos: VOC and YOLO: whether the photos are copied beside the masks.

    Raises:
        Missing: If there is no run, no mask, or a photo is missing.
        AlreadyThere: If the file is there, or the folder holds files.
        Refusal: If there is no such format, it keeps no photos, or the masks are in ``path``.
    """
    labelled = labelled_run(Run.open(Path(run)), photos)
    write_masks(labelled, format, path, split, url, copy_photos)
    return labelled


def labelled_run(run: Run, photos: str | Path | None = None) -> LabelledPhotos:
    """The photos and pseudo masks of a run; arguments and errors as of ``export``."""
    folder = Path(photos or run.entry().about['photos'])
    paths = run.photo_paths(folder=folder)
    if missing := [i for i in paths if not mask_path(run.masks, i).is_file()]:
        raise Missing(
            f'{run.folder} has no masks yet of {name_some(missing)}: finish it with the command '
            'that began it, semples-mmseg fit'
        )
    classes = ('background', *run.class_names())
    names = tuple(
        (photo.relative_to(folder).as_posix(), f'{name}.png') for name, photo in paths.items()
    )
    return LabelledPhotos(folder, run.masks, classes, class_colours(len(classes)), names)


def write_masks(
    labelled: LabelledPhotos,
    format: str,
    path: str | Path,
    split: bool = False,
    url: str = URL,
    copy_photos: bool = False,
) -> None:
    """``export`` of any photos and masks; arguments and errors as there."""
    path = Path(path)
    if format not in FORMATS:
        raise Refusal(f'there is no export format {format!r}; there are {", ".join(FORMATS)}')
    if copy_photos and format not in FOLDERS_OF_PHOTOS:
        raise Refusal(
            f'{format} has no folder of photos: leave --copy-photos out, or choose '
            f'{" or ".join(FOLDERS_OF_PHOTOS)}'
        )
    if path.resolve().is_relative_to(labelled.masks.resolve()):
        raise Refusal(f'{path} is in the folder of the masks: choose another --out')
    is_folder, labels = FORMATS[format] == 'a folder', path.with_suffix('.xml')
    empty = is_folder and path.is_dir() and not any(path.iterdir())
    for file in (path, labels) if format == 'labelstudio' else (path,):
        if file.exists() and not empty:
            raise AlreadyThere(f'{file} is there already: name another with --out')
    remove_leftovers(path.parent, of=path.name)
    if is_folder:
        _write_folder(labelled, format, path, copy_photos)
    elif format == 'cvat':
        write_cvat(labelled, path)
    elif format == 'coco':
        write_json(path, coco_json(labelled, split), indent=None)
    else:
        with atomic_write(labels) as stream:
            stream.write(labelstudio_config(labelled))
        write_json(path, labelstudio_tasks(labelled, url), indent=None)


def _write_folder(labelled: LabelledPhotos, format: str, path: Path, copy_photos: bool) -> None:
    """Write to a temporary folder that becomes ``path`` when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory('.tmp', f'.{path.name}.', path.parent) as temporary:
        folder = Path(temporary) / path.name
        folder.mkdir()  # unlike the temporary one, with the user's default permissions
        if format == 'labelme':
            write_labelme(labelled, folder, path)
        elif format == 'voc':
            write_voc(labelled, folder)
        else:
            write_yolo(labelled, folder)
        if copy_photos:
            (photos := folder / FOLDERS_OF_PHOTOS[format]).mkdir()
            for photo, stem in labelled.flat_names().items():
                target = photos / f'{stem}{PurePosixPath(photo).suffix}'
                shutil.copyfile(labelled.photos / photo, target)
        os.replace(folder, path)
