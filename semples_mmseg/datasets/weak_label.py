"""Images with image-level labels: the data of weakly supervised segmentation."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.logging import print_log
from mmseg.registry import DATASETS

from ..utils.checks import check_masks_show_labels, renamed_ids
from ..utils.errors import Missing, Refusal
from ..utils.files import read_json
from ..utils.lists import explain_unknown, name_absent, name_some
from ..utils.names import check_image_id
from .checked_seg import CheckedSegDataset
from .transforms import annotation_loaders

Label = str | int

_NO_ROWS = (
    'A label is a class name or its index. Replace multi-hot rows of zeros and ones by names; '
    'tools/dataset_converters/cls_labels.py does so for cls_labels.npy'
)


@DATASETS.register_module()
class WeakLabelDataset(CheckedSegDataset):
    """Images with image-level labels, and masks for evaluation only.

    The split list ``ann_file`` holds one image id a line; ``label_file`` is a JSON object
    ``{"image id": ["class name", ...]}`` (or 0-based indices of object classes). The images are
    ``img_path/<id><img_suffix>``, the masks ``seg_map_path/<id><seg_map_suffix>``.

    Items are MMSeg's with ``img_id`` and ``image_labels`` (float32 multi-hot of shape (K,),
    background not counted). They have ``seg_map_path`` only if ``test_mode`` is set, and a training
    pipeline that loads annotations is refused: training never opens a mask. Images with an empty
    list are negatives: only stage classify learns from them. Subclasses with another source of
    labels override ``load_image_labels``.

    Args:
        ann_file: Split list, relative to ``data_root``.
        label_file: JSON file of the image-level labels, relative to ``data_root``.
        skip_unlabelled: Leave images with an empty list of labels out of training.
        data_prefix: Folders ``img_path`` and, for evaluation, ``seg_map_path``.
        **kwargs: Passed on to ``CheckedSegDataset``, whose errors it has too.
    """

    WITHOUT_MASKS = (
        'To train without masks add --cfg-options val_dataloader=None val_cfg=None '
        'val_evaluator=None; to predict without masks give tools/test.py --out FOLDER'
    )

    DATA_PREFIX: ClassVar[Mapping[str, str]] = {}
    """Default folders of a subclass."""

    def __init__(
        self,
        ann_file: str = '',
        label_file: str | None = None,
        skip_unlabelled: bool = False,
        data_root: str | None = None,
        data_prefix: Mapping[str, str] | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        prefix = dict(img_path='') | dict(data_prefix or self.DATA_PREFIX)
        if not test_mode:
            prefix.pop('seg_map_path', None)
        if label_file and data_root:
            label_file = os.path.join(data_root, label_file)
        self.label_file = label_file
        self.skip_unlabelled = skip_unlabelled
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=prefix,
            test_mode=test_mode,
            **kwargs,
        )

    @classmethod
    def get_label_map(cls, new_classes: Sequence | None = None) -> dict | None:
        """See MMSeg; None for classes of a data set of your own in the layout of this one."""
        if new_classes and not {*new_classes} <= {*cls.METAINFO.get('classes', ())}:
            return None
        return super().get_label_map(new_classes)

    @property
    def own_classes(self) -> tuple[str, ...]:
        """Object classes that label indices and mask ids refer to; ``metainfo`` may select some."""
        metainfo = self._metainfo if self.label_map is None else type(self).METAINFO
        return tuple(metainfo['classes'])[1:]

    @property
    def object_classes(self) -> tuple[str, ...]:
        """The K class names without background, in the order of ``image_labels``."""
        return tuple(self._metainfo['classes'][1:])

    def set_pipeline(self, pipeline: Sequence) -> None:
        """Replace the transforms; refused if they load masks in training, or without a folder."""
        loaders = annotation_loaders(pipeline)
        if loaders and not self.test_mode:
            raise Refusal(
                f'{type(self).__name__}: the training pipeline contains {loaders[0]!r}. '
                'Weak supervision: the training path never opens a mask. Remove that transform, '
                'or set test_mode=True if this data set is for evaluation'
            )
        if loaders and not self.data_prefix.get('seg_map_path'):
            raise Refusal(
                f'{type(self).__name__}: the pipeline contains {loaders[0]!r}, but data_prefix '
                f"names no folder of masks; add data_prefix=dict(seg_map_path='...'). "
                f'{self.WITHOUT_MASKS}'
            )
        super().set_pipeline(pipeline)

    def load_image_labels(self, img_ids: Sequence[str]) -> Mapping[str, Sequence[Label]]:
        """Class names or 0-based object indices of (at least) the given images by their ids."""
        if not self.label_file:
            raise Refusal(
                f'{type(self).__name__}: label_file is not set; give the JSON file '
                '{"image id": ["class name", ...]} of the image-level labels'
            )
        return read_label_file(self.label_file, len(self.own_classes))

    def load_data_list(self) -> list[dict]:
        """Read and check the split list, the labels and the presence of all files."""
        if not self.ann_file:
            raise Refusal(f'{type(self).__name__}: ann_file is not set; give the list of image ids')
        items = self._read_items()
        img_ids = [item['img_id'] for item in items]
        labels = self.load_image_labels(img_ids)
        absent = [i for i in img_ids if i not in labels]
        if absent:
            raise Refusal(
                f'{self._label_source}: no entry for {name_absent(absent, labels)} of the split '
                f'list {self.ann_file}; add them (an empty list means: none of the classes)'
            )
        for item in items:
            item['image_labels'] = self.encode_labels(labels[item['img_id']], item['img_id'])
        if not self.test_mode:
            return self._training_images(items)
        if masks := self._masks(items):
            multi_hots = [item['image_labels'] for item in items]
            renamed = renamed_ids(self.reduce_zero_label, self.label_map)
            check_masks_show_labels(masks, multi_hots, self.object_classes, renamed)
        return items

    def _training_images(self, data_list: list[dict]) -> list[dict]:
        """The images to train on; warn of classes that cannot be learned."""
        name = type(self).__name__
        labelled = [info for info in data_list if info['image_labels'].any()]
        negatives = len(data_list) - len(labelled)
        if not labelled:
            raise Refusal(f'{self._label_source}: no image of {self.ann_file} has any label')
        if negatives:
            use = 'left out of training' if self.skip_unlabelled else 'negatives of stage classify'
            print_log(
                f'{name}: {negatives} of {len(data_list)} images have no label: {use} '
                f'(skip_unlabelled={self.skip_unlabelled})',
                logger='current',
            )
        counts = np.sum([info['image_labels'] for info in data_list], axis=0)
        warnings = []
        if unseen := [self.object_classes[k] for k in np.flatnonzero(counts == 0)]:
            warnings.append(
                f'no image of {self.ann_file} shows {name_some(unseen)}, so the model cannot learn '
                'it'
            )
        if len(counts) == 1 and (self.skip_unlabelled or not negatives):
            warnings.append(
                f'every image shows the only class, {self.object_classes[0]!r}, so the model '
                'cannot learn what is not this class. Add images without it, with an empty list of '
                'labels'
            )
        for warning in warnings:
            print_log(f'{name}: {warning}', logger='current', level=logging.WARNING)
        return labelled if self.skip_unlabelled else data_list

    def encode_labels(self, labels: Sequence[Label], img_id: str) -> np.ndarray:
        """Class names, or indices of the data set's own classes, as multi-hot float32 (K,)."""
        where = f'{self._label_source}, image {img_id!r}'
        names = class_names_of(labels, self.own_classes, where)
        return np.array([name in names for name in self.object_classes], dtype=np.float32)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Object classes of an image, for mmengine's ``ClassBalancedDataset``."""
        return np.flatnonzero(self.get_data_info(idx)['image_labels']).tolist()

    @property
    def _label_source(self) -> str:
        return f'label_file {self.label_file}' if self.label_file else 'image labels'

    def _check_classes(self) -> None:
        classes: tuple[str, ...] = tuple(self._metainfo.get('classes') or ())
        if len(classes) < 2 or str(classes[0]).lower() != 'background':
            raise Refusal(
                f"{type(self).__name__}: metainfo['classes'] has to be 'background' followed by "
                f'at least one object class, got {classes}'
            )
        super()._check_classes()


def read_label_file(path: str, num_classes: int) -> dict[str, Any]:
    """Read a JSON object ``{"image id": ["class name", ...]}``, whose lists are not checked yet."""
    if str(path).endswith('.npy'):
        raise Refusal(
            f'label_file {path}: expected JSON; tools/dataset_converters/cls_labels.py converts it'
        )
    try:
        labels = read_json(path, 'label_file')
    except FileNotFoundError:
        raise Missing(f'label_file {path} does not exist') from None
    if not isinstance(labels, dict):
        raise Refusal(
            f'label_file {path} holds a JSON {type(labels).__name__}; expected an object '
            '{"image id": ["class name", ...]}'
        )
    for img_id in labels:
        check_image_id(img_id, f'label_file {path}')
    # Of more classes, rows have a number twice, which ``class_names_of`` refuses.
    if num_classes == 2 and len(labels) > 1 and all(r in ([0, 1], [1, 0]) for r in labels.values()):
        raise Refusal(f'label_file {path}: every entry is a row of zeros and ones. {_NO_ROWS}')
    return labels


def class_names_of(labels: Any, classes: Sequence[str], where: str) -> list[str]:
    """Class names of one image from names and 0-based indices of object classes, checked."""
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise Refusal(f'{where}: expected a list of class names, got {labels!r}')
    indices = [label for label in labels if type(label) is int]
    if len({*indices}) < len(indices):
        raise Refusal(f'{where}: {labels} names a class index twice. {_NO_ROWS}')
    for label in labels:
        if type(label) is int:
            if not 0 <= label < len(classes):
                raise Refusal(
                    f'{where}: class index {label} is out of range; the {len(classes)} object '
                    f'classes are 0..{len(classes) - 1} (background is not counted). {_NO_ROWS}'
                )
        elif label not in classes:
            raise Refusal(f'{where}: {explain_unknown(label, classes)}')
    return [classes[label] if type(label) is int else label for label in labels]
