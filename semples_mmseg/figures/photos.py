"""Photos to draw, by path or by id, and the model for their CAMs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import DATASETS, MODELS

from ..utils.classes import ObjectClasses, read_classes
from ..utils.errors import Missing, Refusal
from ..utils.images import read_image
from ..utils.label_png import read_mask
from ..utils.lists import explain_unknown
from ..weights import resolve, with_scheme


@dataclass(frozen=True)
class Photo:
    """A photo whose classes are known.

    Attributes:
        path: The file.
        classes: Its object classes, 0-based, ascending.
        mask_path: Mask of class ids, 0 for background; ``None`` without one.
    """

    path: str
    classes: tuple[int, ...]
    mask_path: str | None = None

    @property
    def name(self) -> str:
        """File name without suffix."""
        return Path(self.path).stem

    def image(self) -> np.ndarray:
        """Its pixels, upright, uint8 RGB (H, W, 3)."""
        return read_image(self.path)

    def mask(self) -> np.ndarray | None:
        """Its mask, uint8 (H, W).

        Raises:
            ValueError: If the mask is of another size than the image.
        """
        if self.mask_path is None:
            return None
        mask, size = read_mask(self.mask_path), self.image().shape[:2]
        if mask.shape != size:
            raise Refusal(
                f'mask {self.mask_path} is {mask.shape[1]} x {mask.shape[0]}, its image '
                f'{self.path} {size[1]} x {size[0]} pixels; give the mask of this image'
            )
        return mask


def classes_of(config: Config) -> ObjectClasses:
    """The object classes of a config: of its model, or else of its test data.

    Raises:
        ValueError: If neither names classes.
    """
    named = config.model.get('class_names')
    if named is None:
        data = config.test_dataloader.dataset
        named = data.get('class_names') or data.type
    return read_classes(named, 'model.class_names')


def find_classes(names: Sequence[str], classes: ObjectClasses, where: str) -> tuple[int, ...]:
    """Positions of class names, ascending.

    Raises:
        ValueError: If there is no class of a name.
    """
    for name in names:
        if name not in classes.names:
            raise Refusal(f'{where}: {explain_unknown(name, classes.names)}')
    return tuple(sorted({classes.names.index(name) for name in names}))


def find_photos(
    config: Config,
    images: Sequence[str],
    tags: Sequence[Sequence[str]] = (),
    masks: Sequence[str] = (),
) -> list[Photo]:
    """Photos by path with their tags, or by id with the tags and masks of the test data.

    Args:
        config: Names classes and test data.
        images: Paths of files, or image ids of the test data.
        tags: Class names of each image that is a path; a single entry applies to all of them.
        masks: Their masks, or none.

    Raises:
        FileNotFoundError: If there is neither such a file nor such an id.
        ValueError: If a tag is no class, an image cannot be read, or numbers differ.
    """
    files = [image for image in images if Path(image).is_file()]
    if len(tags) not in ({0} if not files else {1, len(files)}):
        raise Refusal(
            f'--tags has {len(tags)} entries for {len(files)} image files: give one per file, '
            'classes separated by commas, or one for all'
        )
    if len(masks) not in (0, len(files)):
        raise Refusal(f'--masks has {len(masks)} files for {len(files)} images: give one each')
    classes, photos = classes_of(config), {}
    for n, path in enumerate(files):
        present = find_classes(tags[n % len(tags)], classes, f'--tags of {path}')
        photos[path] = Photo(path, present, masks[n] if masks else None)
    if len(photos) < len(set(images)):
        photos |= _photos_by_id(config, [image for image in images if image not in photos])
    for photo in photos.values():
        photo.image(), photo.mask()  # damaged files are found before the model is built
    return [photos[image] for image in images]


@dataclass(frozen=True)
class Row:
    """A row of a figure.

    Attributes:
        photo: The photo.
        classes: The classes to draw, some or all of the photo's.
        title: Names of photo and classes.
    """

    photo: Photo
    classes: tuple[int, ...]
    title: str


def choose_rows(
    photos: Sequence[Photo],
    classes: ObjectClasses,
    wanted: Sequence[str] = (),
    per_class: bool = False,
) -> list[Row]:
    """Choose the rows of a figure.

    Args:
        photos: The photos.
        classes: The classes of the model.
        wanted: Names of the classes to draw; empty for all.
        per_class: Whether each class of a photo gets a row of its own.

    Raises:
        ValueError: If a name is no class, or a photo shows none of the classes.
    """
    chosen = find_classes(wanted, classes, '--classes') or range(len(classes.names))
    rows = []
    for photo in photos:
        present = tuple(k for k in photo.classes if k in chosen)
        if not present:
            what = f'none of {", ".join(wanted)}' if wanted else 'no class'
            raise Refusal(f'{photo.path} shows {what}, so there is nothing to draw')
        for shown in [(k,) for k in present] if per_class else [present]:
            title = f'{photo.name}\n{", ".join(classes.names[k] for k in shown)}'
            rows.append(Row(photo, shown, title))
    return rows


def _photos_by_id(config: Config, ids: Sequence[str]) -> dict[str, Photo]:
    init_default_scope('mmseg')
    missing = f'{ids[0]} is neither an image file nor an image id of test_dataloader'
    try:
        dataset: Any = DATASETS.build(config.test_dataloader.dataset)
        infos = {info['img_id']: info for info in map(dataset.get_data_info, range(len(dataset)))}
    except FileNotFoundError as error:
        raise Missing(f'{missing}, whose data are not there: {error}') from error
    if absent := [image for image in ids if image not in infos]:
        raise Missing(
            f'{absent[0]} is neither an image file nor an image id of test_dataloader '
            f'({config.test_dataloader.dataset.get("ann_file")})'
        )
    return {
        image: Photo(
            infos[image]['img_path'],
            tuple(np.flatnonzero(infos[image]['image_labels']).tolist()),
            infos[image].get('seg_map_path'),
        )
        for image in ids
    }


def build_model(config: Config) -> Any:
    """Build the model of a config, in eval mode, on a GPU where there is one.

    Raises:
        ValueError: If the model makes no CAMs.
    """
    init_default_scope('mmseg')
    model: Any = MODELS.build(config.model)
    if not hasattr(model, 'mask_generator'):
        raise Refusal(
            f'{config.filename}: {type(model).__name__} makes no CAMs; give the config of a '
            'SemPLeS or CAMSegmentor'
        )
    return model.to(get_device()).eval()


def load_model(model: Any, checkpoint: str) -> dict[str, Any]:
    """Load the weights of a checkpoint into a model.

    Returns:
        The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is of another model.
    """
    path = with_scheme(str(resolve(checkpoint)))
    content = load_checkpoint(model, path, map_location='cpu', logger='silent')
    model.set_stage(model.stage)  # clears the features of earlier prompts
    return content


def pipeline_without_masks(config: Config) -> list[dict[str, Any]]:
    """The test pipeline of a config without the transforms that load masks."""
    pipeline = config.test_dataloader.dataset.pipeline
    return [step for step in pipeline if 'Annotations' not in str(step['type'])]


@torch.no_grad()
def predict_cams(model: Any, pipeline: Sequence[dict[str, Any]], photo: Photo) -> np.ndarray:
    """CAMs of the classes of a photo at its size.

    Args:
        model: The model, in eval mode.
        pipeline: Transforms from ``img_path`` to the model's input, such as
            ``pipeline_without_masks``, which gives the same CAMs as for pseudo masks.
        photo: The photo.

    Returns:
        float32 (n, H, W) in [0, 1], in the order of ``photo.classes``.
    """
    labels = np.zeros(model.num_classes, np.float32)
    labels[list(photo.classes)] = 1
    item = Compose(pipeline)(dict(img_path=photo.path, image_labels=labels))
    return model.test_step(pseudo_collate([item]))[0].cams.data.cpu().numpy()
