"""Segmentation models of MMSegmentation as ONNX files."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.apis import init_model
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from ..environment import CHANNEL_CONVERSION, quiet_libraries
from ..models import WindowedEncoderDecoder
from ..utils.errors import MissingPackage, Refusal, RunError
from ..utils.io import atomic_write, remove_leftovers
from ..utils.sizes import resize_bicubic
from ..version import __version__
from .onnx_model import KEY, OnnxModel, OnnxSettings
from .torch_model import TorchModel, prediction_steps

PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
"""What exporting needs besides PyTorch: the extra ``onnx``."""
AGREEMENT = 0.98
"""Least share of pixels labelled alike: Pillow, NumPy and OpenCV round differently at borders."""

_PREPARED: dict[str, Any] = {}
_EXAMPLE = (2, 3, 123, 97)
"""Not multiples of a patch size; otherwise the graph has no padding to whole patches."""


def check_packages() -> None:
    """Raise ``MissingPackage`` where ONNX files cannot be written."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if torch.__version__ < '2.7':  # it cannot write enlarging to a size that is free
        missing.append('PyTorch 2.7 or later')
    if missing:
        raise MissingPackage(
            f'writing ONNX files needs {", ".join(missing)}: pip install "semples-mmseg[onnx]"'
        )


def export_onnx(config: str | Path, checkpoint: str | Path, out: str | Path) -> None:
    """Write a model as an ONNX file that ``OnnxModel`` runs like the test pipeline.

    The graph takes ``image`` (batch, 3, height, width), RGB in 0..255, float32, normalises it and
    gives ``logits`` (batch, classes, height, width); batch, height and width are free. Sizes and
    sliding windows, classes and colours are in the metadata. The file is compared with PyTorch
    before it is put in its place.

    Args:
        config, checkpoint, out: Files: config of an ``EncoderDecoder``, its weights, the result.

    Raises:
        MissingPackage: If a package is missing.
        FileNotFoundError: If config or weights are missing.
        Refusal: If the model or its test pipeline cannot be exported.
        RunError: If PyTorch and onnxruntime do not agree.
    """
    check_packages()
    with _quiet():
        expected = TorchModel(config, checkpoint, device='cpu')
    given = Config.fromfile(config)
    settings, graph = settings_of(given, expected), Graph(expected.model).eval()
    program = _PREPARED.pop(str(given.model), None) or _program(graph)
    remove_leftovers(Path(out).parent, of=Path(out).name)
    with atomic_write(out, 'wb') as stream:
        _write(program, graph, settings, stream.name)
        _compare(expected, OnnxModel(stream.name))


def prepare_export(config: Config) -> None:
    """Do what takes longest without the weights: ``export_onnx`` in this process will be short."""
    text = str(config.model)
    with quiet_libraries():
        model = init_model(config, device='cpu')
    _PREPARED[text] = _program(Graph(model).eval())


class Graph(nn.Module):
    """From RGB images to logits of their size, by an ``EncoderDecoder``; becomes the graph."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model
        preprocessor = model.data_preprocessor
        normalized = getattr(preprocessor, '_enable_normalize', False)
        one, zero = torch.ones(3, 1, 1), torch.zeros(3, 1, 1)
        # of the channels as the network takes them
        self.register_buffer('mean', preprocessor.mean.clone() if normalized else zero)
        self.register_buffer('std', preprocessor.std.clone() if normalized else one)
        self.rgb = any(getattr(preprocessor, name, False) for name in CHANNEL_CONVERSION)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, C, H, W) of images (B, 3, H, W), RGB in 0..255."""
        image = image if self.rgb else image.flip(1)
        features = self.model.extract_feat((image - self.mean) / self.std)
        logits = self.model.decode_head.forward(features)
        return F.interpolate(
            logits, image.shape[2:], mode='bilinear', align_corners=self.model.align_corners
        )


def settings_of(config: Config, trained: TorchModel) -> OnnxSettings:
    """The steps of prediction that the graph of a model does not contain.

    Raises:
        Refusal: If ``OnnxModel`` cannot do one of them.
    """
    model: Any = trained.model
    kind = type(model).__name__
    if not isinstance(model, EncoderDecoder) or isinstance(model.decode_head, nn.ModuleList):
        raise Refusal(f'{kind} cannot be exported: only models of the kind EncoderDecoder can')
    if model.test_cfg.get('restrict_to_image_labels'):
        raise Refusal('test_cfg.restrict_to_image_labels needs tags: take it out to export')
    graph = Graph(model)
    mean = graph.mean.flatten().tolist()
    sizes: dict[str, Any] = {}
    for step in prediction_steps(config):
        name = str(step['type']).split('.')[-1]
        if name == 'LimitSide' and not sizes:
            sizes['max_side'] = step['max_side']
        elif name == 'Resize' and 'scale' not in sizes and step.get('scale'):
            scale = step['scale']
            sizes['scale'] = (scale, scale) if isinstance(scale, int) else tuple(scale)
            sizes['keep_ratio'] = bool(step.get('keep_ratio'))
        elif not name.startswith('Pack'):
            raise Refusal(
                f'the test pipeline has {name}, which cannot be exported: it may have LimitSide, '
                'then Resize with a scale, then a transform that packs'
            )
    slides = model.test_cfg.get('mode', 'whole') == 'slide'
    return OnnxSettings(
        classes=trained.classes,
        palette=trained.palette,
        mean=tuple(mean if graph.rgb else mean[::-1]),
        window=tuple(model.test_cfg['crop_size']) if slides else None,
        stride=tuple(model.test_cfg['stride']) if slides else None,
        enlarge=slides and isinstance(model, WindowedEncoderDecoder),
        align_corners=bool(model.align_corners),
        **sizes,
    )


def _program(graph: Graph) -> Any:
    """PyTorch's ONNX program of a graph, not yet optimized: its weights can still be exchanged."""
    size = torch.export.Dim.AUTO
    try:
        with _quiet():
            # Captured here, as the exporter captures several times.
            captured = torch.export.export(
                graph,
                (torch.rand(_EXAMPLE) * 255,),
                dynamic_shapes=dict(image={0: size, 2: size, 3: size}),
                strict=False,  # before PyTorch 2.8 the default refuses MMCV's DropPath
            )
            return torch.onnx.export(
                captured,
                dynamo=True,
                verbose=False,
                optimize=False,
                input_names=['image'],
                output_names=['logits'],
            )
    except Exception as error:
        raise Refusal(
            f'{type(graph.model.backbone).__name__} with {type(graph.model.decode_head).__name__} '
            f'cannot be exported by PyTorch: {error}'
        ) from error


def _write(program: Any, graph: Graph, settings: OnnxSettings, file: str) -> None:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass  # with the extra alone

    with _quiet():
        program.apply_weights(graph.state_dict())
        program.optimize()
    # PyTorch's notes for debugging: paths of this machine, and addresses that differ in every run.
    ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props.update(
        {KEY: json.dumps(asdict(settings), ensure_ascii=False), 'version': __version__}
    )
    program.save(file, external_data=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # notes on optimizations that were not possible
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(logging.NOTSET)


def _compare(expected: TorchModel, found: OnnxModel) -> None:
    """Check that the file labels photos of several sizes as the test pipeline does."""
    random = np.random.default_rng(0)
    for size in ((190, 260), (128, 128), (96, 160)):
        photo = resize_bicubic(random.integers(0, 256, (7, 9, 3), np.uint8), size)
        share = float((found.predict(photo) == expected.predict(photo)).mean())
        if share < AGREEMENT:
            raise RunError(
                f'onnxruntime labels {share:.2%} of the pixels of a photo as the test pipeline '
                'does: a part of the model or of its pipeline cannot be exported faithfully'
            )
