"""The data doctor: what is wrong with the files of a weakly labelled data set."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import join_path

from ..datasets.weak_label import Label, WeakLabelDataset
from ..utils.images import read_image
from ..utils.label_png import read_mask
from ..utils.lists import files_below, missing_files, read_image_ids
from ..utils.names import check_image_id
from .pool import map_files
from .voc_masks import IGNORED, classes_in_mask

FINDINGS = (
    'images missing',
    'images unreadable',
    'images without labels',
    'labels without images',
    'labels unreadable',
    'masks missing',
    'masks unreadable',
    'mask values out of range',
    'sizes of image and mask differ',
)
"""What a data set is not clean with."""

NOTES = ('images with an empty list of labels', 'labels and mask name different classes')
"""What is worth knowing, but may well be meant."""


@dataclass
class CheckUp:
    """What the doctor found in one data set.

    Attributes:
        name: What was examined.
        images: Number of images listed.
        labelled: Images by class, counted from the image-level labels.
        masked: Images by class, counted from the masks; None if no masks were examined.
        findings: Image ids and what is wrong with them, by kind; see :data:`FINDINGS`.
        notes: The same for :data:`NOTES`.
    """

    name: str
    images: int
    labelled: dict[str, int]
    masked: dict[str, int] | None
    findings: dict[str, dict[str, str]] = field(default_factory=lambda: {k: {} for k in FINDINGS})
    notes: dict[str, dict[str, str]] = field(default_factory=lambda: {k: {} for k in NOTES})

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return not any(self.findings.values())

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return dict(vars(self), clean=self.clean)


@dataclass(frozen=True)
class Examination:
    """What two files of one image say.

    Attributes:
        problems: Details by kind of finding.
        present: Object classes 1..K of the mask; None without a readable mask.
    """

    problems: Mapping[str, str]
    present: Sequence[int] | None


def check_dataset(dataset: WeakLabelDataset, name: str = '', workers: int | None = None) -> CheckUp:
    """Examine all files of a data set: lists, labels, every image, and every mask if it has some.

    Every image is decoded to its last pixel. Labels that belong to no image are looked for in the
    whole label file, everything else among the images of the split list; without a list these
    are all images of the folder.

    Args:
        dataset: The data set, built with ``lazy_init=True`` so that it does not stop at the first
            problem. Its masks are examined if it knows where they are (``test_mode``).
        name: What to call it.
        workers: Number of processes; all processors by default.

    Returns:
        The findings.

    Raises:
        FileNotFoundError: If the list, the label file or the folder of images does not exist.
        ValueError: If the list or the label file as a whole is wrong.
    """
    img_dir, mask_dir = dataset.data_prefix['img_path'], dataset.data_prefix.get('seg_map_path')
    for folder in filter(None, (img_dir, mask_dir)):
        if not Path(folder).is_dir():
            raise FileNotFoundError(f'folder {folder} does not exist')
    img_ids = _listed(dataset, img_dir)
    images = {i: join_path(img_dir, i + dataset.img_suffix) for i in img_ids}
    masks = {i: join_path(mask_dir, i + dataset.seg_map_suffix) for i in img_ids if mask_dir}
    counts = dict.fromkeys(dataset.object_classes, 0)
    report = CheckUp(name, len(img_ids), dict(counts), dict(counts) if mask_dir else None)

    absent = {*missing_files(images.values())}
    report.findings['images missing'] = {i: p for i, p in images.items() if p in absent}
    no_mask = {*missing_files(masks.values())}
    report.findings['masks missing'] = {i: p for i, p in masks.items() if p in no_mask}

    labels = _check_labels(dataset, img_ids, report)
    own = _own_classes(dataset)
    jobs = [
        (
            images[i] if images[i] not in absent else None,
            masks[i] if i in masks and masks[i] not in no_mask else None,
            len(own),
        )
        for i in img_ids
    ]
    examined = map_files(_examine, jobs, 'images and masks' if masks else 'images', workers)
    for img_id, result in zip(img_ids, examined, strict=True):
        for kind, detail in result.problems.items():
            report.findings[kind][img_id] = detail
        if result.present is not None:
            shown = [own[k - 1] for k in result.present if own[k - 1] in counts]
            _compare(report, img_id, labels.get(img_id), shown)
    return report


def _listed(dataset: WeakLabelDataset, img_dir: str) -> list[str]:
    """Image ids of the split list, or of all images in the folder."""
    if dataset.ann_file:
        return read_image_ids(dataset.ann_file)
    suffix = dataset.img_suffix
    found = files_below(img_dir, suffix)
    if not found:
        raise FileNotFoundError(f'no image *{suffix} in {img_dir}; check the suffix')
    return [check_image_id(name.removesuffix(suffix), f'folder {img_dir}') for name in found]


def _own_classes(dataset: WeakLabelDataset) -> tuple[str, ...]:
    """The object classes that mask values count, where ``metainfo`` may pick a part of them."""
    return tuple(dataset.METAINFO.get('classes', dataset.metainfo['classes']))[1:]


def _check_labels(
    dataset: WeakLabelDataset, img_ids: Sequence[str], report: CheckUp
) -> dict[str, list[str]]:
    """Check the image-level labels; class names of those images whose labels are good."""
    if dataset.label_file and not os.path.exists(dataset.label_file):
        raise FileNotFoundError(f'label file {dataset.label_file} does not exist')
    inherited = type(dataset).load_image_labels is WeakLabelDataset.load_image_labels
    if inherited and not dataset.label_file:
        raise ValueError('no labels: name the JSON file of the image-level labels (--labels)')
    try:
        given = dict(dataset.load_image_labels(img_ids))
    except (ValueError, OSError):
        if dataset.label_file:
            raise
        # One by one, which is slow, to tell the bad ones from the good.
        each = map_files(partial(_labels_of, dataset), img_ids, 'labels', workers=1)
        given = {
            i: labels for i, (labels, problem) in zip(img_ids, each, strict=True) if not problem
        }
        bad = {i: problem for i, (_, problem) in zip(img_ids, each, strict=True) if problem}
        report.findings['labels unreadable'].update(bad)
    good = {}
    for img_id in img_ids:
        if img_id in report.findings['labels unreadable']:
            continue
        if img_id not in given:
            report.findings['images without labels'][img_id] = 'no entry'
            continue
        try:
            multi_hot = dataset.encode_labels(given[img_id], img_id)
        except ValueError as error:
            report.findings['labels unreadable'][img_id] = str(error)
            continue
        good[img_id] = [dataset.object_classes[k] for k in np.flatnonzero(multi_hot)]
        for name in good[img_id]:
            report.labelled[name] += 1
        if not good[img_id]:
            report.notes['images with an empty list of labels'][img_id] = 'left out of training'
    folder, suffix = dataset.data_prefix['img_path'], dataset.img_suffix
    others = {join_path(folder, i + suffix): i for i in given.keys() - {*img_ids}}
    for path in sorted(missing_files(others)):
        report.findings['labels without images'][others[path]] = path
    return good


def _labels_of(dataset: WeakLabelDataset, img_id: str) -> tuple[Sequence[Label], str]:
    """Labels of one image, or what is wrong with them."""
    try:
        return dataset.load_image_labels([img_id])[img_id], ''
    except (ValueError, OSError) as error:
        return (), str(error)


def _compare(
    report: CheckUp, img_id: str, labels: Sequence[str] | None, shown: Sequence[str]
) -> None:
    """Count the classes of a mask and note where the labels are others."""
    for name in shown:
        if report.masked is not None:
            report.masked[name] += 1
    if labels is not None and {*labels} != {*shown}:
        report.notes['labels and mask name different classes'][img_id] = (
            f'labels: {", ".join(sorted(labels)) or "none"}; mask: {", ".join(shown) or "none"}'
        )


def _examine(job: tuple[str | None, str | None, int]) -> Examination:
    """Decode an image and its mask."""
    img_path, mask_path, num_classes = job
    problems: dict[str, str] = {}
    size, label, present = None, None, None
    if img_path is not None:
        try:
            height, width, _ = read_image(img_path).shape
            size = width, height
        except (ValueError, OSError) as error:
            problems['images unreadable'] = str(error)
    if mask_path is not None:
        try:
            label = read_mask(mask_path)
            present, stray = classes_in_mask(label, num_classes, mask_path)
            if stray:
                problems['mask values out of range'] = (
                    f'{mask_path}: {stray}; expected 0..{num_classes} and {IGNORED}'
                )
        except (ValueError, OSError) as error:
            problems['masks unreadable'] = str(error)
    if size is not None and label is not None and label.shape[::-1] != size:
        height, width = label.shape
        problems['sizes of image and mask differ'] = (
            f'image {size[0]}x{size[1]}, mask {width}x{height}'
        )
    return Examination(problems, present)
