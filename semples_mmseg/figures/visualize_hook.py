"""CAMs and prompts of a few training images while a model trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from PIL import Image

from ..engine.weights_file import bare
from ..utils.classes import ObjectClasses
from ..utils.errors import Refusal
from .pictures import draw_cams
from .prompt_figure import draw_prompts, prompt_maps, usual_method
from .rows import Photo, choose_rows, predict_cams

_PIPELINE: list[dict[str, Any]] = [
    dict(type='LoadCheckedImage'),
    dict(type='PackWeakInputs', scales=(1.0,)),
]


@HOOKS.register_module()
class VisualizeHook(Hook):
    """Send pictures of CAMs and of learned prompts to MMEngine's visualizer every N epochs.

    Every backend gets them as ``cams`` and ``prompts`` with the epoch as step. CAMs, at scale 1 and
    mirrored, are drawn in stages that train the generator; prompts in stages that learn or use
    them. Images and tags are those of the training data, without masks.

    Args:
        interval: Epochs from one picture to the next, at least 1.
        images: Number of images, at least 1, evenly spread over those that have tags.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 10, images: int = 6) -> None:
        if interval < 1 or images < 1:
            raise Refusal(f'VisualizeHook: {interval=} and {images=} have to be positive')
        self.interval, self.images = interval, images

    def before_train(self, runner: Runner) -> None:
        """Choose the images."""
        dataset: Any = runner.train_loop.dataloader.dataset
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        tagged = [info for info in infos if np.any(info.get('image_labels'))]
        if not tagged:
            raise Refusal('VisualizeHook: no image of the training data has tags')
        chosen = np.unique(np.linspace(0, len(tagged) - 1, self.images).astype(int))
        names = tuple(dataset.metainfo['classes'])[1:]
        self._classes = ObjectClasses(names, names)
        self._photos = [Photo.of(tagged[index]) for index in chosen]

    @master_only
    @torch.no_grad()
    def after_train_epoch(self, runner: Runner) -> None:
        """Draw."""
        if not self.every_n_epochs(runner, self.interval):
            return
        model, step = bare(runner.model), runner.epoch + 1
        learning = any(p.requires_grad for p in model.mask_generator.parameters())
        training = model.training
        model.eval()
        try:
            if learning:
                picture = self._cams(model, f'epoch {step}')
                runner.visualizer.add_image('cams', np.asarray(picture), step)
            if {'prompt', 'refine'} & set(model.stage.losses):
                runner.visualizer.add_image('prompts', np.asarray(self._prompts(model)), step)
        finally:
            model.train(training)

    def _cams(self, model: Any, title: str) -> Image.Image:
        rows = choose_rows(self._photos, self._classes)
        cams = {title: [predict_cams(model, _PIPELINE, row.photo) for row in rows]}
        return draw_cams([row.photo.image() for row in rows], cams, rows=[r.title for r in rows])

    def _prompts(self, model: Any) -> Image.Image:
        rows = choose_rows(self._photos, self._classes, per_class=True)
        images, method = [row.photo.image() for row in rows], usual_method(model.image_head)
        device = model.text_head.class_features.device
        features = model.prompt_features(torch.arange(model.num_classes, device=device))
        maps = [
            prompt_maps(model, image, features[list(row.classes)], method)
            for row, image in zip(rows, images, strict=True)
        ]
        return draw_prompts(images, maps, rows=[row.title for row in rows])
