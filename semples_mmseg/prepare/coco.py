"""COCO 2014: split lists, image-level labels and evaluation masks from the downloaded files."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from rich.console import Console

from ..datasets.coco import COCO_CLASSES
from ..utils.console import plain_console
from ..utils.errors import AlreadyThere, Missing, Refusal
from ..utils.files import read_bytes, read_json
from ..utils.images import open_image
from ..utils.label_png import IGNORED, write_mask
from ..utils.lists import missing_files, name_some
from ..utils.names import check_image_id
from ..utils.parallel import parallel_map, progress
from ..utils.record import Record
from .outputs import label_lines, write_files

SPLITS = {'train': 82081, 'val': 40137}
"""Splits of COCO 2014 and how many of their images have any annotation."""
PAINTING = 'smaller over larger by area in pixels, later over earlier of one size, crowd 255'
_LONGEST = 1e7  # pixels


class Region(NamedTuple):
    """One annotation: its label 1..80, whether it marks a crowd of objects, and polygons
    [x1, y1, x2, y2, ...] or run lengths ``{'counts': ..., 'size': [height, width]}``.
    """

    label: int
    crowd: bool
    segmentation: Any
    id: int


@dataclass
class CocoImage:
    """One image by its file name, its (height, width), and what is annotated in it."""

    name: str
    size: tuple[int, int]
    regions: list[Region] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """Class names in the order of classes; crowds count, because the image shows them."""
        return [COCO_CLASSES[label - 1] for label in sorted({r.label for r in self.regions})]


def read_instances(path: Path) -> list[CocoImage]:
    """All images of a file of COCO instances by name; only the segmentations are not checked."""
    if not path.is_file():
        raise Missing(
            f'{path} does not exist: unpack annotations_trainval2014.zip there, or give the folder '
            'with --annotations'
        )
    content = read_json(path, 'annotation file')
    try:
        categories = sorted(content['categories'], key=lambda category: category['id'])
        names = [category['name'] for category in categories]
        if tuple(names) != COCO_CLASSES:
            odd = sorted({*names} ^ {*COCO_CLASSES}) or ['their order']
            raise Refusal(
                f'{path}: its categories are not the 80 of COCO; what differs: {name_some(odd, 5)}'
            )
        labels = {category['id']: label for label, category in enumerate(categories, 1)}
        images: dict[Any, CocoImage] = {}
        for entry in content['images']:
            name = entry['file_name']
            if Path(name).name != name or Path(name).suffix != '.jpg':
                raise Refusal(
                    f'{path}: expected the name of a .jpg file without a folder, got {name!r}'
                )
            check_image_id(Path(name).stem, str(path))
            images[entry['id']] = CocoImage(name, (entry['height'], entry['width']))
        ordered = sorted(images.values(), key=lambda image: image.name)
        if len({image.name for image in ordered}) < len(content['images']):
            raise Refusal(f'{path} lists an image twice: download it again')
        for entry in content['annotations']:
            image, kind = entry['image_id'], entry['category_id']
            if image not in images or kind not in labels:
                raise Refusal(
                    f'{path}: annotation {entry["id"]} of image {image} has a category '
                    f'({kind}) or an image that the file does not list'
                )
            crowd = bool(entry.get('iscrowd', 0))
            images[image].regions.append(
                Region(labels[kind], crowd, entry['segmentation'], entry['id'])
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise Refusal(
            f'{path} is not a file of COCO instances ({type(error).__name__}: {error}); expected '
            'instances_train2014.json or instances_val2014.json as downloaded'
        ) from error
    return ordered


def choose_images(
    images: Sequence[CocoImage], folder: Path, split: str, subset: bool
) -> list[CocoImage]:
    """The labelled images of a split; all must be in the folder, unless it is a ``subset``."""
    labelled = [image for image in images if image.regions]
    paths = [str(folder / image.name) for image in labelled]
    missing = {Path(path).name for path in missing_files(paths)}
    if missing and (not subset or len(missing) == len(labelled)):
        raise Missing(
            f'{len(missing)} of {len(labelled)} labelled images of {split} are missing in '
            f'{folder}: {name_some(sorted(missing))}. Complete the download or give the right '
            'folder; if a part of COCO is meant, add --subset'
        )
    chosen = [image for image in labelled if image.name not in missing]
    if not subset and len(chosen) != SPLITS[split]:
        raise Refusal(
            f'{split} has {len(chosen)} labelled images, COCO 2014 has {SPLITS[split]}: the '
            'annotation file is a different one or incomplete; if a part is meant, add --subset'
        )
    if not chosen:
        raise Refusal(f'{split}: the annotation file has no image with annotations')
    return chosen


def prepare_coco14(
    root: str | os.PathLike,
    splits: Sequence[str] = tuple(SPLITS),
    masks: Iterable[str] = ('val',),
    annotations: str | os.PathLike | None = None,
    out: str | os.PathLike | None = None,
    subset: bool = False,
    workers: int | None = None,
    console: Console | None = None,
) -> None:
    """Write what ``WeakCOCODataset`` reads; options are those of the tool, see its ``--help``.

    Everything but the segmentations is checked before anything is written. Running it again changes
    nothing; masks of a stopped run are kept and the rest is added.
    """
    root, console = Path(root), console or plain_console()
    folder, target = Path(annotations or root / 'annotations'), Path(out or root)
    masks = set(masks)
    plan: list[tuple[str, Path, list[CocoImage], int]] = []
    for split in splits:
        source = folder / f'instances_{split}2014.json'
        console.print(f'reading {source}')
        images = read_instances(source)
        chosen = choose_images(images, root / f'{split}2014', split, subset)
        plan.append((split, source, chosen, len(images)))
        if split in masks:
            _masks_record(target / f'masks/{split}2014', source)
    for split, source, chosen, total in plan:
        names = {Path(image.name).stem: image.labels for image in chosen}
        texts = {
            target / f'ImageSets/{split}.txt': list(names),
            target / f'labels_{split}.json': label_lines(names),
        }
        write_files(texts, overwrite=True)
        console.print(
            f'{split}: {len(chosen)} images with labels in ImageSets/{split}.txt and '
            f'labels_{split}.json; {total - len(chosen)} others of {source.name} are left out '
            f'({"not annotated or not in the folder" if subset else "not annotated"})'
        )
        if split in masks:
            masks_in, images_in = target / f'masks/{split}2014', root / f'{split}2014'
            record = _masks_record(masks_in, source)
            record.begin('masks', dict(painting=PAINTING), {source.name: source})
            made = {image.name: masks_in / f'{Path(image.name).stem}.png' for image in chosen}
            jobs = [
                (str(made[image.name]), images_in / image.name, image.size, image.regions)
                for image in chosen
                if not made[image.name].is_file()
            ]
            written = parallel_map(write_image_mask, jobs, workers)
            for _ in progress(written, f'masks in {masks_in}', len(jobs)):
                pass
            record.finish('masks', made.values())


def _masks_record(folder: Path, source: Path) -> Record:
    """The record of a folder of masks; refused if they were made from other annotations."""
    record = Record(folder, 'delete the folder, or choose another with --out')
    new = record.state('masks', dict(painting=PAINTING), {source.name: source}) == 'new'
    if new and folder.is_dir() and any(folder.iterdir()):
        raise AlreadyThere(f'{folder} holds files of which nothing is recorded: {record.way}')
    return record


def decode_region(region: Region, size: tuple[int, int]) -> np.ndarray:
    """Pixels of a region, bool of shape (height, width)."""
    coded = region.segmentation
    try:
        if isinstance(coded, list):
            # pycocotools takes a list of four numbers for a box
            if not coded or any(len(polygon) < 6 or len(polygon) % 2 for polygon in coded):
                raise Refusal('expected polygons [x1, y1, x2, y2, ...] of three corners or more')
            for polygon in coded:  # pycocotools has memory for each pixel of it, or crashes
                corners = np.array(polygon, float).reshape(-1, 2)
                sides = np.abs(np.diff(corners, axis=0, append=corners[:1]))
                if not max(sides.sum(), np.abs(corners).max()) <= _LONGEST:
                    raise Refusal('an outline that is far away or millions of pixels long')
            coded = coco_mask.merge(coco_mask.frPyObjects(coded, *size))
        elif tuple(coded['size']) != size:
            raise Refusal(f'run lengths of size {coded["size"]}, the image has {size}')
        elif isinstance(coded['counts'], list):
            if sum(coded['counts']) != size[0] * size[1]:
                raise Refusal(f'run lengths of {sum(coded["counts"])} pixels, the image {size}')
            coded = coco_mask.frPyObjects(coded, *size)
        pixels = coco_mask.decode(coded)
        if pixels.sum() != coco_mask.area(coded):  # pycocotools leaves the rest unset
            raise Refusal('run lengths that end too early')
        return pixels > 0
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
        raise Refusal(f'annotation {region.id} has no valid segmentation: {error}') from error


def write_image_mask(job: tuple[str, Path, tuple[int, int], Sequence[Region]]) -> None:
    """Paint and write one mask: its path, the image, the size that it should have, its regions."""
    path, image, size, regions = job
    try:
        with open_image(read_bytes(image, 'image'), image) as opened:
            found = opened.size[::-1]
    except (OSError, ValueError) as error:
        raise Refusal(f'image {image} cannot be read ({error}): download it again') from error
    if found != size:
        raise Refusal(
            f'image {image} is {found[0]} x {found[1]} (height x width), the annotation file says '
            f'{size[0]} x {size[1]}: image and annotations are of different releases'
        )
    try:
        decoded = [(decode_region(region, size), region) for region in regions]
    except ValueError as error:
        raise Refusal(f'mask of {image}: {error}') from error
    mask = np.zeros(size, np.uint8)
    # stable: of equal areas, the later region is painted later
    for pixels, region in sorted(decoded, key=lambda pair: -int(pair[0].sum())):
        mask[pixels] = IGNORED if region.crowd else region.label
    write_mask(path, mask)
