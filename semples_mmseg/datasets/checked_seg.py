"""Images with masks for retraining, checked before work starts."""

from collections.abc import Mapping
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from .listing import missing_files, name_some, read_image_ids


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
            read_image_ids(self.ann_file, self.backend_args)
        data_list = super().load_data_list()
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
        self._check_ids(data, files)
        return data

    def _check_ids(self, data: Any, files: str) -> None:
        samples = data.get('data_samples', ()) if isinstance(data, Mapping) else ()
        # test-time augmentation gives a list
        for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
            if 'gt_sem_seg' not in sample:
                continue
            ids = sample.gt_sem_seg.data
            number = len(self.metainfo['classes'])
            wrong = ids[((ids < 0) | (ids >= number)) & (ids != self.ignore_index)]
            if len(wrong):
                raise ValueError(
                    f'{files}: the mask holds the id {int(wrong[0])}; the {number} classes are '
                    f'0..{number - 1}, ignored is {self.ignore_index}'
                )
