"""Masks of single images in Python: MMSeg's inferencer with image-level tags."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from mmseg.apis import MMSegInferencer

from .utils.errors import Refusal
from .utils.lists import explain_unknown


class SemPLeSInferencer(MMSegInferencer):
    """MMSeg's ``MMSegInferencer`` with the classes that an image shows as input.

    A model that is trained on tags finds the pixels of *given* classes well, but is far less sure
    which classes an image shows. Without tags the classes that the classifier predicts are used;
    there is one warning, and ``tags_guessed`` of the result is true:

        inferencer = SemPLeSInferencer('voc_refine.py', 'refine.pth')
        inferencer('meadow.jpg', tags=['cow'])['predictions']  # (H, W), 0 is background
        inferencer(['a.jpg', 'b.jpg'], tags=[['cow'], ['cow', 'dog']], out_dir='masks')
        inferencer('meadow.jpg')['tags_guessed']  # True

    It has the options of ``MMSegInferencer``. It is for the models of image-level training
    (``SemPLeS``, ``CAMSegmentor``); a retrained Segmenter predicts without tags.
    """

    preprocess_kwargs = {'tags'}

    def __call__(
        self,
        inputs: Any,
        tags: Iterable[str] | Iterable[Iterable[str] | None] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Predict the masks of one image, of several, or of a folder.

        Args:
            inputs: Path (text or ``Path``), BGR array (H, W, 3), a list of them, or a folder.
            tags: Class names of the image; for several images a list with one entry per image,
                each a list of names (empty: only background) or None (not known).
            **kwargs: ``batch_size``, ``return_datasamples``, ``out_dir`` and the other options of
                ``MMSegInferencer``.

        Returns:
            MMSeg's result: ``predictions`` (H, W) of class ids, ``visualization``; and ``tags``,
            the class names that were taken as present, with ``tags_guessed``, whether the model
            predicted them. For several images each is a list.

        Raises:
            ValueError: If a tag is no class of the model, or the numbers of entries and images
                differ.
        """
        if isinstance(inputs, os.PathLike):
            inputs = os.fspath(inputs)
        images = self._inputs_to_list(inputs)
        images = [os.fspath(i) if isinstance(i, os.PathLike) else i for i in images]
        return super().__call__(images, tags=self._labels(images, tags), **kwargs)

    def preprocess(
        self, inputs: Sequence[Any], batch_size: int = 1, tags: Sequence[Any] = (), **kwargs: Any
    ) -> Iterator[Any]:
        """Add the labels to the input of the pipeline; see MMEngine's ``BaseInferencer``."""
        items = []
        for image, labels in zip(inputs, tags, strict=True):
            item = dict(img_path=image) if isinstance(image, str) else dict(img=image)
            if labels is not None:
                item['image_labels'] = labels
            items.append(item)
        return super().preprocess(items, batch_size=batch_size, **kwargs)

    def postprocess(self, preds: Any, *args: Any, **kwargs: Any) -> Any:
        """MMSeg's result with ``tags`` and ``tags_guessed``."""
        results = super().postprocess(preds, *args, **kwargs)
        if isinstance(results, dict):
            names = self._class_names
            tags = [[names[k] for k in pred.cam_classes.tolist()] for pred in preds]
            guessed = [bool(pred.tags_guessed) for pred in preds]
            single = len(preds) == 1
            results['tags'] = tags[0] if single else tags
            results['tags_guessed'] = guessed[0] if single else guessed
        return results

    @property
    def _class_names(self) -> list[str]:
        """Names of the K object classes, from the checkpoint or else from the config."""
        classes = list(self.model.dataset_meta['classes'])
        if len(classes) == self.model.num_classes + 1:
            return classes[1:]
        raise Refusal(
            f'the checkpoint names {len(classes)} classes, background included, the model has '
            f'{self.model.num_classes} without it. Give the names: '
            "inferencer.model.dataset_meta = dict(classes=('background', ...), palette=None)"
        )

    def _labels(self, images: Sequence[Any], tags: Any) -> list[np.ndarray | None]:
        """Multi-hot labels (K,) per image, or None where they are not known."""
        if not hasattr(self.model, 'mask_generator'):
            raise Refusal(f'{type(self.model).__name__} predicts without tags: use MMSegInferencer')
        if tags is None:
            return [None] * len(images)
        entries = tags if isinstance(tags, str) else list(tags)
        if len(images) == 1 and all(isinstance(tag, str) for tag in entries):
            entries = [entries]
        lists = [not isinstance(entry, str) and isinstance(entry, Iterable) for entry in entries]
        fit = all(is_list or entry is None for is_list, entry in zip(lists, entries, strict=True))
        if not fit or len(entries) != len(images):
            raise Refusal(
                f'tags={entries} for {len(images)} images: give one list of class names (or None) '
                'per image'
            )
        return [None if entry is None else self._multi_hot(entry) for entry in entries]

    def _multi_hot(self, tags: Iterable[str]) -> np.ndarray:
        names = self._class_names
        labels = np.zeros(len(names), np.float32)
        for tag in tags:
            if tag not in names:
                raise Refusal(f'tags: {explain_unknown(tag, names)}')
            labels[names.index(tag)] = 1
        return labels
