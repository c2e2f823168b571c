"""PASCAL VOC 2012 with image-level labels."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from ..utils.errors import Refusal
from ..utils.files import read_xml
from ..utils.lists import missing_files
from .weak_label import Label, WeakLabelDataset


def read_object_names(path: str) -> list[str]:
    """Class names of all objects of a VOC annotation, difficult ones too, in the file's order."""
    root = read_xml(path, 'annotation')
    # Only direct children: parts of persons (head, hand, foot) have names too, one level deeper.
    names = [obj.findtext('name', '').strip() for obj in root.findall('object')]
    if root.tag != 'annotation' or '' in names:
        raise Refusal(
            f'annotation {path} is not a VOC annotation: expected <annotation> with '
            '<object><name>...</name></object>'
        )
    return names


@DATASETS.register_module()
class WeakVOCDataset(WeakLabelDataset):
    """PASCAL VOC 2012 as downloaded (``VOCdevkit/VOC2012``) with image-level labels.

    ``metainfo`` or ``class_names`` may select some of VOC's classes: other labels are dropped. With
    other classes this is a data set of your own in VOC's layout.

    Args:
        ann_file: Split list, e.g. ``ImageSets/Segmentation/train.txt``.
        label_file: JSON file of the labels, see ``WeakLabelDataset``. None reads the object names
            (difficult ones too) of ``<xml_prefix>/<id>.xml``.
        xml_prefix: Folder of the XML annotations, relative to ``data_root``.
        **kwargs: Passed on to ``WeakLabelDataset``. For the masks of the plain download set
            ``seg_map_path`` of ``data_prefix`` to ``SegmentationClass``.
    """

    METAINFO = PascalVOCDataset.METAINFO
    DATA_PREFIX = dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug')
    # Names that CLIP reads in place of the data set's (published settings of SemPLeS).
    PROMPT_NAMES: ClassVar = dict(
        diningtable='dining table',
        person='player',
        pottedplant='potted plant',
        tvmonitor='tv monitor',
    )

    def __init__(
        self,
        ann_file: str,
        label_file: str | None = None,
        xml_prefix: str = 'Annotations',
        data_root: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.xml_prefix = os.path.join(data_root or '', xml_prefix)
        super().__init__(ann_file, label_file, data_root=data_root, **kwargs)

    def load_image_labels(self, img_ids: Sequence[str]) -> Mapping[str, Sequence[Label]]:
        """Labels from ``label_file`` or the XML annotations of the given images."""
        if self.label_file:
            return super().load_image_labels(img_ids)
        paths = {i: os.path.join(self.xml_prefix, f'{i}.xml') for i in img_ids}
        missing = missing_files(paths.values())
        self._refuse_missing(missing, 'annotation', 'and xml_prefix, or give a label_file')
        return {i: read_object_names(path) for i, path in paths.items()}

    @property
    def _label_source(self) -> str:
        xml = f'annotations {self.xml_prefix}/*.xml'
        return super()._label_source if self.label_file else xml
