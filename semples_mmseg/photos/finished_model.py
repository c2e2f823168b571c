"""A finished model, from the folder of its run or from an ONNX file."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from ..utils.errors import Missing
from .onnx_model import OnnxModel
from .predicting import Model


def load(
    run: str | os.PathLike, *, device: str | None = None, max_side: int | None = None
) -> Model:
    """The model that a run has trained.

        model = semples_mmseg.load('run')
        mask = model.predict('photo.jpg')  # (H, W), ids of model.classes

    Args:
        run: Folder that was ``--out`` of ``semples-mmseg fit``, the folder ``model`` in it, or an
            ONNX file. If PyTorch is not installed, the ONNX file of the folder is used.
        device: As PyTorch names it; by default a GPU, if there is one. ONNX files use what
            onnxruntime finds.
        max_side: Photos with a longer side are computed at this one; by default as in the model's
            settings.

    Returns:
        ``predict(photo)`` of a path or an array uint8 RGB (H, W, 3) returns class ids, uint8
        (H, W); ``classes`` are their names, background first.

    Raises:
        FileNotFoundError: If there is no model.
        ValueError: If a file is no model.
        ImportError: If onnxruntime is missing for an ONNX file.
    """
    files = model_files(run)
    if len(files) == 1:
        return OnnxModel(files[0], max_side)
    from .. import register_components

    register_components()
    from .torch_model import TorchModel

    return TorchModel(files[0], files[1], device, max_side)


def model_files(run: str | os.PathLike) -> list[Path]:
    """The files of a model: an ONNX file, or a config and a checkpoint.

    Raises:
        FileNotFoundError: If there are none.
    """
    path = Path(run)
    if path.is_file():
        if path.suffix.lower() == '.onnx':
            return [path]
        raise Missing(f'{path} is no ONNX file: give one, or the folder of a run')
    folder = path / 'model' if (path / 'model').is_dir() else path
    files = [folder / 'segmenter.py', folder / 'segmenter.pth']
    if importlib.util.find_spec('torch') is None:
        files = [folder / 'segmenter.onnx']
    if gone := [file for file in files if not file.is_file()]:
        raise Missing(
            f'{run} holds no finished model ({gone[0]} is missing): finish the run with the '
            'command that began it, semples-mmseg fit'
        )
    return files
