"""Images with masks, checked before work starts."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..utils.checks import check_masks_have_classes, renamed_ids
from ..utils.classes import merge_class_names
from ..utils.errors import Missing, Refusal, RunError
from ..utils.label_png import check_ids, check_num_classes, class_colours
from ..utils.lists import (
    find_images,
    ids_below,
    missing_files,
    name_missing,
    read_image_ids,
    suffix_list,
)
from ..utils.names import check_class_names
from .transforms import with_checked_loader


@DATASETS.register_module()
class CheckedSegDataset(BaseSegDataset):
    """MMSeg's data set of images and masks, checked when it is built.

    A missing list, image or mask is an error at once, and so are masks that hold only 0 and 255
    (ignored). A mask with an id that is no class raises an error with its name when it is loaded.
    For images without masks (a test set) leave ``seg_map_path`` out of ``data_prefix``.

    Args:
        class_names: The object classes, see ``read_classes``; or give ``metainfo``.
        metainfo: ``classes`` (background first) and ``palette``; VOC's colours by default.
        img_suffix: Suffix of the images, or several: the first one that a file has is taken.
        pipeline: Transforms; ``LoadImageFromFile`` with Pillow loads as ``LoadCheckedImage``.
        lazy_init: Postpone reading lists and files (and their checks) to the first use.

    Raises:
        Refusal: If list, masks or classes do not fit; the message names file, key and fix.
        Missing: If the list, an image or a mask is missing.
    """

    METAINFO: dict[str, Any] = {}
    WITHOUT_MASKS = (
        'Pseudo masks are written by tools/make_pseudo_masks.py; to predict without masks give '
        'tools/test.py --out FOLDER'
    )

    def __init__(
        self,
        class_names: str | Sequence[str] | None = None,
        metainfo: Mapping | None = None,
        img_suffix: str | Sequence[str] = '.jpg',
        pipeline: Sequence = (),
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            metainfo=merge_class_names(metainfo, class_names),
            img_suffix=img_suffix,
            pipeline=[],
            lazy_init=True,
            **kwargs,
        )
        # MMSeg's browse_dataset.py and confusion_matrix.py read the classes from here.
        self.METAINFO = self.metainfo
        self._check_classes()
        self.set_pipeline(pipeline)
        if not lazy_init:
            self.full_init()

    def set_pipeline(self, pipeline: Sequence) -> None:
        """Replace the transforms, e.g. on entering a training stage with another augmentation."""
        self.pipeline = Compose(with_checked_loader(pipeline))

    def load_data_list(self) -> list[dict]:
        """Read the list and check the files; MMSeg's items with ``img_id``."""
        items = self._read_items()
        if masks := self._masks(items):
            renamed = renamed_ids(self.reduce_zero_label, self.label_map)
            check_masks_have_classes(masks, len(self.metainfo['classes']), renamed)
        return items

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; no other image is taken instead of a damaged one.

        Raises:
            Refusal: If image or mask is damaged, or an id is neither a class nor ``ignore_index``.
            RunError: If the pipeline fails in another way; names the files.
        """
        info = self.get_data_info(idx)
        files = ', '.join(info[k] for k in ('img_path', 'seg_map_path') if k in info)
        try:
            data = self.pipeline(info)
        except Refusal:
            raise
        except Exception as error:  # of other libraries; a worker loses the number of an OSError
            # Pillow and MMCV raise these for a damaged image, the system an OSError with a number.
            damage = isinstance(error, (OSError, ValueError, AssertionError))
            kind = Refusal if damage and not getattr(error, 'errno', None) else RunError
            raise kind(f'{files} failed: {type(error).__name__}: {error}') from error
        if data is None:
            raise RunError(f'{files}: the pipeline returned None')
        samples = data.get('data_samples', ()) if isinstance(data, Mapping) else ()
        # test-time augmentation gives a list
        for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
            if 'gt_sem_seg' in sample:
                ids, classes = sample.gt_sem_seg.data.numpy(), self.metainfo['classes']
                check_ids(ids, len(classes), files, self.ignore_index)
        return data

    def _read_items(self) -> list[dict]:
        """The items, after a check that no file is missing."""
        folder, ends = self.data_prefix['img_path'], suffix_list(self.img_suffix)
        ids = read_image_ids(self.ann_file) if self.ann_file else self._ids_in(folder)
        paths, missing = find_images(folder, ids, ends)
        options = 'img_path and img_suffix (a list of suffixes is possible)'
        self._refuse_missing(missing, 'image', options)
        items = [
            dict(
                img_id=img_id,
                img_path=path,
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for img_id, path in zip(ids, paths, strict=True)
        ]
        if masks := self.data_prefix.get('seg_map_path'):
            for item in items:
                name = f'{item["img_id"]}{self.seg_map_suffix}'
                item['seg_map_path'] = os.path.join(masks, name)
            missing = missing_files(item['seg_map_path'] for item in items)
            options = f'seg_map_path and seg_map_suffix. {self.WITHOUT_MASKS}'
            self._refuse_missing(missing, 'mask', options)
        return items

    def _masks(self, items: Sequence[Mapping[str, Any]]) -> list[str]:
        """Masks that can be read before work starts."""
        if not self.seg_map_suffix.endswith('.png'):
            return []
        return [item['seg_map_path'] for item in items if 'seg_map_path' in item]

    def _ids_in(self, folder: str) -> list[str]:
        """Image ids of all images of a folder, and a warning of those with another suffix."""
        ends = suffix_list(self.img_suffix)
        ids, others = ids_below(folder, ends)
        if others:
            print_log(
                f'{type(self).__name__}: {len(others)} photos in {folder} have another suffix than '
                f'{", ".join(ends)} and are not used; img_suffix takes a list of suffixes',
                logger='current',
                level=logging.WARNING,
            )
        return ids

    def _refuse_missing(self, missing: Sequence[str], kind: str, options: str) -> None:
        if missing:
            source = self.ann_file or self.data_prefix['img_path']
            raise Missing(
                f'{kind} missing: {name_missing(missing)} of {source}; check data_root, '
                f'data_prefix {options}'
            )

    def _check_classes(self) -> None:
        """Refuse classes that are no names, and ids that do not fit them."""
        classes, where = self.metainfo.get('classes') or (), type(self).__name__
        if not classes:
            raise Refusal(f'{where}: the classes are not known: give class_names or metainfo')
        check_class_names(classes, f"{where}: metainfo['classes']")
        check_num_classes(len(classes), f"{where}: metainfo['classes']")
        if self.reduce_zero_label and str(classes[0]).lower() == 'background':
            raise Refusal(
                f'{where}: reduce_zero_label=True makes 0, which is the id of background here, '
                'ignored, and all other ids one lower: leave it out'
            )

    def _update_palette(self) -> list:
        """VOC's colours for classes without a palette; MMSeg draws random ones, also for 0."""
        classes = self._metainfo.get('classes', ())
        if self.label_map is None and len(self._metainfo.get('palette', ())) != len(classes):
            return class_colours(len(classes))
        return super()._update_palette()
