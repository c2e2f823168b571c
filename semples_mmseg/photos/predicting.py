"""A finished model, and its label maps of photos on disk; runs where PyTorch is not installed."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..utils.errors import Missing, Refusal
from ..utils.files import file_digest
from ..utils.images import read_image
from ..utils.io import check_writable, folder_lock, remove_leftovers, write_json
from ..utils.label_png import check_num_classes, mask_path, read_mask, write_classes, write_mask
from ..utils.lists import find_photos, image_ids
from ..utils.parallel import progress
from ..utils.record import Record
from .onnx_model import OnnxModel
from .overlays import write_overlay

if TYPE_CHECKING:
    from .torch_model import TorchModel

MASKS = 'predictions'
"""Entry of the record of a folder of masks."""
MODEL = 'model'
"""Entry of the record of a run: its finished model."""


def load(
    run: str | os.PathLike,
    *,
    device: str | None = None,
    max_side: int | None = None,
    trust: bool = False,
    engine: str | None = None,
) -> OnnxModel | TorchModel:
    """The model that a run has trained.

        model = semples_mmseg.load('run')
        mask = model.predict('photo.jpg')  # (H, W), ids of model.classes

    Args:
        run: Folder that was ``--out`` of ``semples-mmseg fit``, whose model is that of
            ``semples-mmseg retrain`` if there is one; the folder ``model`` in it, the model of fit;
            or an ONNX file. If PyTorch is not installed, the ONNX file of the folder is used.
        device: As PyTorch names it; by default a GPU, if there is one. ONNX files use what
            onnxruntime finds.
        max_side: Photos with a longer side are computed at this one; by default as in the model's
            settings.
        trust: Whether to run the Python program ``segmenter.py`` of a folder without
            ``model.json``, only for folders of people you trust.
        engine: ``'torch'`` or ``'onnx'``, for a folder; by default PyTorch if it is installed.

    Returns:
        ``predict(photo)`` of a path or an array uint8 RGB (H, W, 3) returns class ids, uint8
        (H, W); ``classes`` are their names, background first.

    Raises:
        Missing: If there is no model.
        Refusal: If a file is no model.
        MissingPackage: If onnxruntime is missing for an ONNX file.
    """
    files = model_files(run, trust, engine)
    if len(files) == 1:
        return OnnxModel(files[0], max_side)
    from .. import register_components

    register_components()
    from .architecture import read_architecture
    from .torch_model import TorchModel

    if files[0].suffix == '.py':
        return TorchModel(files[0], files[1], device, max_side)
    config, meta = read_architecture(files[0])
    model = TorchModel(config, files[1], device, max_side)
    if [*model.classes] != meta['classes'] or [*map(list, model.palette)] != meta['palette']:
        raise Refusal(f'{files[0]} and {files[1]} have other classes or colours')
    return model


def model_files(
    run: str | os.PathLike, trust: bool = False, engine: str | None = None
) -> list[Path]:
    """The files of a model: an ONNX file, or a description and a checkpoint.

    With ``trust`` a folder may have a config, a Python program, in place of ``model.json``, which
    is made from it if it is a model of ``fit``. Without, a ``Refusal``. ``engine`` as of ``load``.
    """
    path = Path(run)
    if path.is_file():
        if path.suffix.lower() == '.onnx':
            if engine == 'torch':
                raise Refusal(f'PyTorch does not run {path}: leave out --engine torch')
            return [path]
        raise Missing(f'{path} is no ONNX file: give one, or the folder of a run')
    folder = _model_folder(path)
    files = [folder / 'model.json', folder / 'segmenter.pth']
    program = folder / 'segmenter.py'
    if engine == 'onnx' or engine is None and importlib.util.find_spec('torch') is None:
        files = [folder / 'segmenter.onnx']
    elif not files[0].is_file() and program.is_file():
        if not trust:
            raise Refusal(
                f'{folder} has no model.json: its model is described by segmenter.py, a Python '
                'program that can do anything on this machine. Add --trust (in Python: trust=True) '
                'if you trust its author, or predict with an ONNX file'
            )
        if not _convert(program, files[0]):
            files[0] = program
    if gone := [file for file in files if not file.is_file()]:
        raise Missing(
            f'{run} holds no finished model ({gone[0]} is missing): finish the run with the '
            'command that began it, semples-mmseg fit or retrain'
        )
    return files


def _model_folder(run: Path) -> Path:
    places = [run / 'retrained' / 'model', run / 'model', run]
    return next((place for place in places if place.is_dir()), run)


def quick_engine(run: Path, device: str | None = None) -> str | None:
    """``'onnx'`` where it starts faster and nothing speaks for PyTorch: a device, an NVIDIA GPU.

    By the record of the run its ONNX file and its weights have to be of one model.
    """
    folder, gpu = _model_folder(run), Path('/proc/driver/nvidia').is_dir()
    if device or gpu or not importlib.util.find_spec('onnxruntime'):
        return None
    record = Record(folder.parent)
    made = record[MODEL].outputs or {} if MODEL in record else {}
    files = [folder / name for name in ('segmenter.onnx', 'segmenter.pth', 'model.json')]
    known = [made.get(f'{folder.name}/{file.name}', [None])[-1] for file in files]
    tied = all(file.is_file() for file in files) and known == [*map(file_digest, files)]
    return 'onnx' if tied else None


def _convert(program: Path, file: Path) -> bool:
    """Run a config and write ``model.json``; false if no architecture of ours is in it."""
    from .. import register_components

    register_components()
    from ..utils.classes import model_metainfo, read_classes
    from ..utils.configs import read_config
    from .architecture import describe

    config = read_config(program)
    try:
        meta = model_metainfo(read_classes(config.model.class_names, 'model.class_names'))
        write_json(file, describe(config, meta), ensure_ascii=False)
    except (OSError, Refusal, AttributeError) as error:
        print(f'{program} was run and will need --trust again: {error}', file=sys.stderr)
        return False
    return True


class Predicted(NamedTuple):
    """Number of masks written now and before, and a message for every unreadable photo."""

    masks: int
    there: int
    unreadable: tuple[str, ...]


def named_photos(sources: Sequence[str | os.PathLike], out: str | os.PathLike) -> dict[str, Path]:
    """Photos by the name of their masks: ``a/b`` for ``FOLDER/a/b.jpg``, see ``image_ids``.

    A single photo has its file name. Files in ``out``, the folder of the masks, are not photos.
    """
    found: dict[str, Path] = {}
    for source in map(Path, sources):
        if source.is_dir():
            photos = {name: source / name for name in find_photos(source)}
            masks = Path(os.path.relpath(out, source)).as_posix()
            if masks == '.':
                raise Refusal(f'{out} is the folder of the photos: choose another with --out')
            photos = {name: photos[name] for name in photos if not name.startswith(f'{masks}/')}
        elif source.is_file():
            photos = {source.name: source}
        else:
            raise Missing(f'there is no photo and no folder at {source}')
        for name, path in photos.items():
            other = found.setdefault(name, path)
            if other != path:
                raise Refusal(
                    f'the masks of {other} and {path} would be the same file: predict them into '
                    'different folders'
                )
    return {name: found[photo] for photo, name in image_ids(found).items()}


def predict_photos(
    model: OnnxModel | TorchModel,
    photos: dict[str, Path],
    out: str | os.PathLike,
    settings: dict[str, Any],
    overlays: bool = False,
) -> Predicted:
    """Write the mask of every photo, and continue where an earlier call stopped.

    Masks are 8-bit palette PNGs, ``<out>/<name>.png``, written atomically; ``classes.json`` beside
    them names the ids, and the record what they were made from. Photos that cannot be read are left
    out. Later calls may add photos.

    Args:
        model: The model.
        photos: See ``named_photos``.
        out: Folder of the masks.
        settings: JSON data that the masks depend on.
        overlays: Whether to write ``<out>/overlays/<name>.jpg`` too, the mask over the photo.

    Raises:
        Refusal: If the folder holds masks of other settings or of other photos of these names, or
            a mask was changed.
    """
    out = Path(out)
    check_num_classes(len(model.classes), 'the model')
    check_writable(out)
    with folder_lock(out):
        record = Record(out, 'choose another folder with --out')
        others = (*out.rglob('*.png'), *out.glob('classes.json'))
        if MASKS not in record and others:
            raise Refusal(
                f'{out} holds files that were not predicted, such as {others[0].name}: choose a '
                'new or empty folder with --out'
            )
        state = record.begin(MASKS, settings, photos, grows=True)
        remove_leftovers(out, recursive=True)
        write_classes(out, model.classes, model.palette)
        there = Path.is_file if state == 'complete' else _is_mask
        missing = {name for name in photos if not there(mask_path(out, name))}
        todo = {name: path for name, path in photos.items() if overlays or name in missing}
        unreadable: dict[str, str] = {}
        for name, path in progress(todo.items(), 'predicting', len(todo)):
            mask = mask_path(out, name)
            try:
                pixels = read_image(path)
            except (OSError, ValueError) as error:
                unreadable[name] = str(error)
                continue
            label = model.predict(pixels) if name in missing else read_mask(mask)
            if name in missing:
                write_mask(mask, label, model.palette)
            if overlays:
                write_overlay(out / 'overlays', name, pixels, label, model.palette)
        if state != 'complete':
            masks = (mask_path(out, name) for name in record[MASKS].inputs)
            record.finish(MASKS, [path for path in masks if path.is_file()], unused=unreadable)
    done = len(missing - unreadable.keys())
    return Predicted(done, len(photos) - len(missing), tuple(unreadable.values()))


def _is_mask(path: Path) -> bool:
    """Whether a mask can be read; no record vouches for those of a stopped call."""
    try:
        read_mask(path)
    except (FileNotFoundError, Refusal):
        return False
    return True
