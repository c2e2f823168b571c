"""Prediction with a config and a checkpoint, for any segmentation model of MMSegmentation."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.apis import init_model

from ..datasets.transforms import set_max_side
from ..environment import quiet_libraries
from ..utils.errors import Refusal
from ..utils.images import photo_pixels
from ..utils.label_png import check_classes, class_colours
from ..weights import with_scheme


class TorchModel:
    """A trained model and the test pipeline of its config.

    Args:
        config: The config, or its path.
        checkpoint: Path of the weights.
        device: As PyTorch names it; by default a GPU, if there is one.
        max_side: Photos with a longer side are computed at this one; by default as in the pipeline.

    Attributes:
        model: The segmentor, in eval mode.
        classes: Names of the ids, background first.
        palette: RGB of the ids.

    Raises:
        FileNotFoundError: If a file is missing.
        Refusal: If the model needs tags, or the pipeline has no limit of sizes that ``max_side``
            could set.
    """

    engine = 'PyTorch'

    def __init__(
        self,
        config: Config | str | os.PathLike,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        max_side: int | None = None,
    ) -> None:
        config = config if isinstance(config, Config) else Config.fromfile(os.fspath(config))
        init_default_scope(config.get('default_scope', 'mmseg'))
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        with quiet_libraries():
            self.model = init_model(config, None, device=device)
            content = load_checkpoint(
                self.model, with_scheme(os.fspath(checkpoint)), map_location='cpu'
            )
        if hasattr(self.model, 'mask_generator'):
            raise Refusal(
                f'{checkpoint} is a model of CAMs, which needs tags (SemPLeSInferencer); predict '
                'with a Segmenter that was trained on its masks'
            )
        steps = prediction_steps(config)
        if max_side is not None and not set_max_side(steps, max_side):
            raise Refusal(
                "max_side has no effect: the test pipeline has no dict(type='LimitSide', ...)"
            )
        self._pipeline = Compose(steps)
        try:
            meta = content.get('meta', {}).get('dataset_meta') or self.model.dataset_meta
            self.classes = tuple(meta['classes'])
            colours = class_colours(len(self.classes), meta.get('palette') or ())
            check_classes([*self.classes], colours, str(checkpoint))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refusal(f'{checkpoint}: meta.dataset_meta has to be classes ({error})') from None
        self.palette = tuple(map(tuple, colours))

    @torch.no_grad()
    def predict(self, photo: str | os.PathLike | np.ndarray) -> np.ndarray:
        """Class ids, uint8 (H, W), of a photo: a path or uint8 RGB (H, W, 3)."""
        pixels = photo_pixels(photo)[:, :, ::-1]
        size = pixels.shape[:2]
        item = dict(img=np.ascontiguousarray(pixels), img_shape=size, ori_shape=size)
        (sample,) = self.model.test_step(pseudo_collate([self._pipeline(item)]))
        return sample.pred_sem_seg.data[0].to(torch.uint8).cpu().numpy()


def prediction_steps(config: Config) -> list[dict[str, Any]]:
    """The test pipeline of a config, without the transforms that load files.

    Raises:
        Refusal: If the config has none.
    """
    content = config.to_dict()
    dataset = (content.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = dataset.get('pipeline') or content.get('test_pipeline')
    if not pipeline:
        raise Refusal(f'{config.filename} has no test pipeline: test_dataloader.dataset.pipeline')
    names = [getattr(step['type'], '__name__', str(step['type'])) for step in pipeline]
    loads = [name.split('.')[-1].startswith('Load') for name in names]
    return [step for step, load in zip(pipeline, loads, strict=True) if not load]
