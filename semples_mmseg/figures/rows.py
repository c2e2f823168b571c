"""What figures show: photos by path or by id, the classes to draw, and their CAMs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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


class Photo(NamedTuple):
    """A photo, its object classes (0-based, ascending), and its mask of class ids, if any."""

    path: str
    classes: tuple[int, ...]
    mask_path: str | None = None

    @classmethod
    def of(cls, info: dict[str, Any]) -> Photo:
        """The photo of a data set's ``get_data_info``, without its mask."""
        return cls(info['img_path'], tuple(np.flatnonzero(info['image_labels']).tolist()))

    def image(self) -> np.ndarray:
        """Its pixels, upright, uint8 RGB (H, W, 3)."""
        return read_image(self.path)

    def mask(self) -> np.ndarray | None:
        """Its mask, uint8 (H, W), if it has one."""
        return None if self.mask_path is None else read_mask(self.mask_path)


class Row(NamedTuple):
    """A row of a figure: a photo, the classes that are drawn, and their names."""

    photo: Photo
    classes: tuple[int, ...]
    title: str


def config_classes(config: Config) -> ObjectClasses:
    """The object classes of a config: of its model, or else of its test data."""
    named = config.model.get('class_names')
    if named is None:
        data = config.test_dataloader.dataset
        named = data.get('class_names') or data.type
    return read_classes(named, 'model.class_names')


def positions(names: Sequence[str], classes: ObjectClasses, where: str) -> tuple[int, ...]:
    """Positions of class names, ascending; ``where`` names their source in errors."""
    for name in names:
        if name not in classes.names:
            raise Refusal(f'{where}: {explain_unknown(name, classes.names)}')
    return tuple(sorted({classes.names.index(name) for name in names}))


def read_photos(
    config: Config,
    images: Sequence[str],
    tags: Sequence[Sequence[str]] = (),
    masks: Sequence[str] = (),
) -> list[Photo]:
    """Photos by path with their tags, or by id with the tags and masks of the test data.

    Tags and masks are those of the images that are paths; a single entry of tags applies to all.
    """
    files = [image for image in images if Path(image).is_file()]
    tagged = {1, len(files)} if files else {0}
    if len(tags) not in tagged or len(masks) not in (0, len(files)):
        raise Refusal(
            f'--tags has {len(tags)} and --masks {len(masks)} entries for {len(files)} image '
            'files: give tags and masks of each file, or the tags of all files once'
        )
    classes, photos = config_classes(config), {}
    for n, path in enumerate(files):
        present = positions(tags[n % len(tags)], classes, f'--tags of {path}')
        photos[path] = Photo(path, present, masks[n] if masks else None)
    if ids := [image for image in images if image not in photos]:
        photos |= _photos_by_id(config.test_dataloader.dataset, ids)
    for photo in photos.values():
        photo.image(), photo.mask()  # damaged files are found before the model is built
    return [photos[image] for image in images]


def _photos_by_id(data: dict[str, Any], ids: Sequence[str]) -> dict[str, Photo]:
    init_default_scope('mmseg')
    try:
        dataset: Any = DATASETS.build(data)
    except FileNotFoundError as error:
        raise Missing(f'{ids[0]} is no image file, and there is no test data: {error}') from None
    infos = map(dataset.get_data_info, range(len(dataset)))
    found = {info['img_id']: info for info in infos if info['img_id'] in ids}
    for image in ids:
        if image not in found:
            raise Missing(
                f'{image} is neither an image file nor an image id of {data.get("ann_file")}'
            )
    return {
        name: Photo.of(info)._replace(mask_path=info.get('seg_map_path'))
        for name, info in found.items()
    }


def choose_rows(
    photos: Sequence[Photo],
    classes: ObjectClasses,
    wanted: Sequence[str] = (),
    per_class: bool = False,
) -> list[Row]:
    """Rows of a figure, one a photo or (``per_class``) one a class of it; no ``wanted`` is all."""
    chosen = positions(wanted, classes, '--classes') or range(len(classes.names))
    rows = []
    for photo in photos:
        present = tuple(k for k in photo.classes if k in chosen)
        if not present:
            raise Refusal(f'{photo.path} shows none of {", ".join(wanted or classes.names)}')
        for shown in [(k,) for k in present] if per_class else [present]:
            names = ', '.join(classes.names[k] for k in shown)
            rows.append(Row(photo, shown, f'{Path(photo.path).stem}\n{names}'))
    return rows


def build_model(config: Config) -> Any:
    """Build the model of a config, in eval mode, on a GPU where there is one."""
    init_default_scope('mmseg')
    model: Any = MODELS.build(config.model)
    if not hasattr(model, 'mask_generator'):
        raise Refusal(
            f'{config.filename}: {type(model).__name__} makes no CAMs; give the config of a '
            'SemPLeS or CAMSegmentor'
        )
    return model.to(get_device()).eval()


def load_model(model: Any, checkpoint: str) -> dict[str, Any]:
    """Load the weights of a checkpoint into a model, and return the checkpoint."""
    path = with_scheme(str(resolve(checkpoint)))
    content = load_checkpoint(model, path, map_location='cpu', logger='silent')
    model.dataset_meta = content.get('meta', {}).get('dataset_meta', {})
    return content


@torch.no_grad()
def predict_cams(model: Any, pipeline: Sequence[dict[str, Any]], photo: Photo) -> np.ndarray:
    """CAMs of the classes of a photo at its size, those that pseudo masks are made from.

    They are float32 (n, H, W) in [0, 1]; transforms that load masks are left out of the pipeline.
    """
    labels = np.zeros(model.num_classes, np.float32)
    labels[list(photo.classes)] = 1
    steps = [step for step in pipeline if 'Annotations' not in str(step['type'])]
    item = Compose(steps)(dict(img_path=photo.path, image_labels=labels))
    return model.test_step(pseudo_collate([item]))[0].cams.data.cpu().numpy()
