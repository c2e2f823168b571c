"""COCO JSON with run-length encoded regions."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from .labelled import LabelledPhotos, regions


def coco_json(labelled: LabelledPhotos, split: bool = False) -> dict[str, Any]:
    """The content of a COCO annotation file.

    Category ids are the ids of the masks: 1 is the first class, the background has none. Image ids
    count from 1 in the order of the photos.

    Args:
        labelled: The photos.
        split: One annotation for each connected piece of a class, as CVAT needs it, instead of one
            for each class.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for photo, label in labelled.read():
        height, width = label.shape
        images.append(dict(id=len(images) + 1, file_name=photo, width=width, height=height))
        for category, region in regions(label, split):
            code = coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=len(images),
                    category_id=category,
                    segmentation=dict(size=[height, width], counts=code['counts'].decode()),
                    area=int(region.sum()),
                    bbox=[float(value) for value in coco_mask.toBbox(code)],
                    iscrowd=0,
                )
            )
    categories = [
        dict(id=index, name=name, supercategory='')
        for index, name in enumerate(labelled.classes)
        if index
    ]
    return dict(images=images, annotations=annotations, categories=categories)
