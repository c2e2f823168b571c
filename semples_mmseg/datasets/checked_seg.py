"""Images with masks for retraining, checked before work starts."""

import os
from collections.abc import Mapping
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..utils.label_png import check_ids
from ..utils.lists import files_below, missing_files, name_some, read_image_ids


@DATASETS.register_module()
class CheckedSegDataset(BaseSegDataset):
    """MMSeg's data set of images and masks that says at once, and clearly, what does not fit.

    The list and the presence of all files are checked when the data set is built, rather than
    hours later or inside a worker, and a mask that holds an id no class has is named: on a GPU it
    would end in an assertion of the loss that names nothing. For images without masks (a test
    set) leave ``seg_map_path`` out of ``data_prefix``.

    Args:
        like: Name of a registered data set whose classes and palette these are, e.g.
            ``'PascalVOCDataset'``; or give ``metainfo``.
        metainfo: ``classes`` (background first) and ``palette``.
        img_suffix: Suffix of the images.
        **kwargs: Passed on to :class:`mmseg.datasets.BaseSegDataset`.

    Raises:
        ValueError: If the list is empty or repeats an id, or ``like`` is no data set.
        FileNotFoundError: If the list, an image or a mask is missing.
    """

    def __init__(
        self,
        like: str | None = None,
        metainfo: Mapping | None = None,
        img_suffix: str = '.jpg',
        **kwargs: Any,
    ) -> None:
        if like is not None:
            known = DATASETS.get(like)
            if known is None:
                raise ValueError(f'like={like!r}: there is no data set of that name')
            metainfo = {**known.METAINFO, **(metainfo or {})}
        super().__init__(metainfo=metainfo, img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the list and see that all files are there.

        Returns:
            One dict per image, see :class:`mmseg.datasets.BaseSegDataset`.
        """
        if self.ann_file:
            ids = read_image_ids(self.ann_file, self.backend_args)
        else:
            names = files_below(self.data_prefix['img_path'], self.img_suffix)
            ids = [name.removesuffix(self.img_suffix) for name in names]
        data_list = [self._item(img_id) for img_id in ids]
        if self.backend_args is not None:
            return data_list
        for key, kind, advice in (
            ('img_path', 'image', 'check data_prefix.img_path and img_suffix'),
            (
                'seg_map_path',
                'mask',
                'check data_prefix.seg_map_path; pseudo masks are written by '
                'tools/make_pseudo_masks.py',
            ),
        ):
            missing = missing_files(info[key] for info in data_list if info.get(key))
            if missing:
                raise FileNotFoundError(
                    f'{kind} missing: {name_some(missing)} of the {len(data_list)} of the list '
                    f'{self.ann_file}; {advice}'
                )
        return data_list

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
            raise RuntimeError(f'{files} failed: {type(error).__name__}: {error}') from error
        check_sample_ids(data, files, len(self.metainfo['classes']), self.ignore_index)
        return data

    def _item(self, img_id: str) -> dict:
        """What MMSeg's data set knows of an image, and its id."""
        item = dict(
            img_id=img_id,
            img_path=os.path.join(self.data_prefix['img_path'], img_id + self.img_suffix),
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
        if folder := self.data_prefix.get('seg_map_path'):
            item['seg_map_path'] = os.path.join(folder, img_id + self.seg_map_suffix)
        return item


def check_sample_ids(data: Any, files: str, num_classes: int, ignore_index: int = 255) -> None:
    """Refuse what a pipeline packed if its mask holds an id that is no class.

    Args:
        data: What the pipeline returned; without masks nothing is checked.
        files: The files, for the error message.
        num_classes: Number of classes, background included.
        ignore_index: The id of pixels that do not count.

    Raises:
        ValueError: If there is such an id.
    """
    samples = data.get('data_samples', ()) if isinstance(data, Mapping) else ()
    # test-time augmentation gives a list
    for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
        if 'gt_sem_seg' in sample:
            check_ids(sample.gt_sem_seg.data.numpy(), num_classes, files, ignore_index)
