"""Images with masks for retraining, checked before work starts."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..utils.classes import merge_class_names
from ..utils.errors import Missing, RunError
from ..utils.images import PHOTO_SUFFIXES
from ..utils.lists import (
    find_images,
    ids_below,
    missing_files,
    name_missing,
    read_image_ids,
    suffix_list,
)
from .mask_checks import check_masks_have_classes, check_sample_ids
from .pipelines import with_checked_loader
from .voc_colours import VOCColours


@DATASETS.register_module()
class CheckedSegDataset(VOCColours, BaseSegDataset):
    """MMSeg's data set of images and masks, checked when it is built.

    A missing list, image or mask is an error at once, not hours later inside a worker. Masks that
    hold only 0 and 255 are an error too: 255 is ignored and not an object. A mask with an id that
    is no class raises an error with its name when it is loaded; on a GPU the error has no name. For
    images without masks (a test set) leave ``seg_map_path`` out of ``data_prefix``.

    Args:
        class_names: The object classes, see ``semples_mmseg.utils.classes.read_classes``;
            or give ``metainfo``.
        metainfo: ``classes`` (background first) and ``palette``; VOC's colours by default.
        img_suffix: Suffix of the images, or several: the first one that a file has is taken.
        pipeline: Transforms; ``LoadImageFromFile`` with Pillow loads as
            ``LoadCheckedImage``.
        **kwargs: Passed on to ``mmseg.datasets.BaseSegDataset``.

    Raises:
        ValueError: If the list is empty or repeats an id, the masks hold no class, or
            ``class_names`` are not classes.
        FileNotFoundError: If the list, an image or a mask is missing.
    """

    def __init__(
        self,
        class_names: str | Sequence[str] | None = None,
        metainfo: Mapping | None = None,
        img_suffix: str | Sequence[str] = '.jpg',
        pipeline: Sequence = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            metainfo=merge_class_names(metainfo, class_names),
            img_suffix=img_suffix,
            pipeline=with_checked_loader(pipeline),
            **kwargs,
        )
        # MMSeg's browse_dataset.py and confusion_matrix.py read the classes from here.
        self.METAINFO = self.metainfo

    def load_data_list(self) -> list[dict]:
        """Read the list and check the files.

        Returns:
            One dict per image, see ``mmseg.datasets.BaseSegDataset``.
        """
        folder, ends = self.data_prefix['img_path'], suffix_list(self.img_suffix)
        ids = read_image_ids(self.ann_file) if self.ann_file else self._ids_in(folder)
        paths = [os.path.join(folder, img_id + ends[0]) for img_id in ids]
        missing: list[str] = []
        if self.backend_args is None:
            paths, missing = find_images(folder, ids, ends)
        source = f'the list {self.ann_file}' if self.ann_file else f'the folder {folder}'
        if missing:
            raise Missing(
                f'image missing: {name_missing(missing)} of the {len(ids)} of {source}; check '
                'data_prefix.img_path and img_suffix (a list of suffixes is possible)'
            )
        items = [self._item(img_id, path) for img_id, path in zip(ids, paths, strict=True)]
        masks = [item['seg_map_path'] for item in items if 'seg_map_path' in item]
        if self.backend_args is None and masks:
            if missing := missing_files(masks):
                raise Missing(
                    f'mask missing: {name_missing(missing)} of the {len(ids)} of {source}; check '
                    'data_prefix.seg_map_path. Pseudo masks are written by '
                    'tools/make_pseudo_masks.py; to predict without masks give tools/test.py '
                    '--out FOLDER'
                )
            ids_are_classes = not self.reduce_zero_label and not self.label_map
            if ids_are_classes and self.seg_map_suffix == '.png':
                check_masks_have_classes(masks, len(self.metainfo['classes']))
        return items

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; a failure names the files.

        Raises:
            RuntimeError: If the pipeline fails on the image.
            ValueError: If its mask holds an id that is neither a class nor ``ignore_index``.
        """
        info = self.get_data_info(idx)
        files = ', '.join(info[k] for k in ('img_path', 'seg_map_path') if k in info)
        try:
            data = self.pipeline(info)
        except Exception as error:
            raise RunError(f'{files} failed: {type(error).__name__}: {error}') from error
        check_sample_ids(data, files, len(self.metainfo['classes']), self.ignore_index)
        return data

    def _ids_in(self, folder: str) -> list[str]:
        """Image ids of all images of a folder."""
        ends = suffix_list(self.img_suffix)
        ids, others = ids_below(folder, ends, PHOTO_SUFFIXES)
        if others:
            print_log(
                f'{type(self).__name__}: {len(others)} photos in {folder} have another suffix than '
                f'{", ".join(ends)} and are not used; img_suffix takes a list of suffixes',
                logger='current',
                level=logging.WARNING,
            )
        return ids

    def _item(self, img_id: str, img_path: str) -> dict:
        """MMSeg's entry of an image, and its id."""
        item = dict(
            img_id=img_id,
            img_path=img_path,
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
        if folder := self.data_prefix.get('seg_map_path'):
            item['seg_map_path'] = os.path.join(folder, img_id + self.seg_map_suffix)
        return item
