"""The dataset check: what is wrong with the files of a weakly labelled data set."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.fileio import join_path

from ..datasets.labels import Label
from ..datasets.mask_checks import swapped_classes
from ..datasets.weak_label import WeakLabelDataset
from ..utils.errors import Missing, Refusal
from ..utils.images import PHOTO_SUFFIXES, read_image
from ..utils.label_png import IGNORED, read_mask
from ..utils.lists import (
    find_images,
    ids_below,
    missing_files,
    name_missing,
    read_image_ids,
    suffix_list,
)
from ..utils.names import check_image_id
from ..utils.parallel import parallel_map
from ..utils.progress import progress
from .check_report import Report
from .voc_masks import classes_in_mask

_BLACK = 15


@dataclass(frozen=True)
class FileCheck:
    """Content of the image and the mask of one id.

    Attributes:
        problems: Details by kind of finding, see ``check_report.FINDINGS``.
        ids: Object classes 1..K of the mask; None without a readable mask.
        black: Whether no pixel of the image is brighter than 15 of 255.
        ignored: Whether the mask has the value 255.
    """

    problems: Mapping[str, str]
    ids: Sequence[int] | None
    black: bool = False
    ignored: bool = False


def check_dataset(dataset: WeakLabelDataset, name: str = '', workers: int | None = None) -> Report:
    """Check all files of a data set: lists, labels, every image, and every mask if there are any.

    Every image is decoded completely. Labels without an image are searched for in the whole label
    file, everything else among the images of the split list; without a list these are all images
    of the folder.

    Args:
        dataset: The data set, built with ``lazy_init=True`` so that it does not stop at the first
            problem. Its masks are checked if it has them (``test_mode``).
        name: Name in the report.
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
            raise Missing(f'folder {folder} does not exist')
    report = Report(name, 0, {}, None)
    img_ids = _listed(dataset, img_dir, report)
    paths, absent = find_images(img_dir, img_ids, dataset.img_suffix)
    images = dict(zip(img_ids, paths, strict=True))
    masks = {i: join_path(mask_dir, i + dataset.seg_map_suffix) for i in img_ids if mask_dir}
    counts = dict.fromkeys(dataset.object_classes, 0)
    report.images, report.labelled = len(img_ids), dict(counts)
    report.masked = dict(counts) if mask_dir else None

    gone = {*absent, *missing_files(masks.values())}
    for kind, files in (('images missing', images), ('masks missing', masks)):
        report.findings[kind] = {i: name_missing([p]) for i, p in files.items() if p in gone}
    labels = _check_labels(dataset, img_ids, report)
    num_classes = len(dataset.own_classes)
    jobs = [
        (*(None if path in gone else path for path in (images[i], masks.get(i))), num_classes)
        for i in img_ids
    ]
    checked = parallel_map(_check_files, jobs, workers)
    title = 'images and masks' if masks else 'images'
    results = dict(zip(img_ids, progress(checked, title, len(jobs)), strict=True))
    for img_id, result in results.items():
        for kind, detail in result.problems.items():
            report.findings[kind][img_id] = detail
    black = [i for i, result in results.items() if result.black]
    if len(black) > len(img_ids) / 2:  # a few may be photos taken in the dark
        detail = f'no value above {_BLACK} of 255, e.g. 12-bit data in a 16-bit file; rescale them'
        report.findings['images almost black'] = dict.fromkeys(black, detail)
    _compare_classes(dataset, labels, results, report)
    return report


def _listed(dataset: WeakLabelDataset, img_dir: str, report: Report) -> list[str]:
    """Image ids of the split list, or of all images in the folder."""
    if dataset.ann_file:
        return read_image_ids(dataset.ann_file)
    ends = suffix_list(dataset.img_suffix)
    ids, others = ids_below(img_dir, ends, PHOTO_SUFFIXES)
    if not ids:
        raise Missing(f'no image *{" *".join(ends)} in {img_dir}; check the suffix')
    detail = f'not used; the suffix is {", ".join(ends)} (--image-suffix takes several)'
    report.findings['images with another suffix'] = dict.fromkeys(others, detail)
    return [check_image_id(img_id, f'folder {img_dir}') for img_id in ids]


def _check_labels(
    dataset: WeakLabelDataset, img_ids: Sequence[str], report: Report
) -> dict[str, list[str]]:
    """Check the image-level labels; class names of those images whose labels are good."""
    if dataset.label_file and not os.path.exists(dataset.label_file):
        raise Missing(f'label file {dataset.label_file} does not exist')
    inherited = type(dataset).load_image_labels is WeakLabelDataset.load_image_labels
    if inherited and not dataset.label_file:
        raise Refusal('no labels: name the JSON file of the image-level labels (--labels)')
    try:
        given = dict(dataset.load_image_labels(img_ids))
    except (ValueError, OSError):
        if dataset.label_file:
            raise
        # One by one, which is slow, to find the bad ones.
        each = [_labels_of(dataset, img_id) for img_id in progress(img_ids, 'labels')]
        given = {i: found for i, (found, problem) in zip(img_ids, each, strict=True) if not problem}
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
            report.notes['images with an empty list of labels'][img_id] = 'none of the classes'
    others = sorted(given.keys() - {*img_ids})
    paths, _ = find_images(dataset.data_prefix['img_path'], others, dataset.img_suffix)
    by_path = dict(zip(paths, others, strict=True))
    for path in missing_files(paths):
        report.findings['labels without images'][by_path[path]] = name_missing([path])
    return good


def _labels_of(dataset: WeakLabelDataset, img_id: str) -> tuple[Sequence[Label], str]:
    """Labels of one image, or what is wrong with them."""
    try:
        return dataset.load_image_labels([img_id])[img_id], ''
    except (ValueError, OSError) as error:
        return (), str(error)


def _compare_classes(
    dataset: WeakLabelDataset,
    labels: Mapping[str, Sequence[str]],
    results: Mapping[str, FileCheck],
    report: Report,
) -> None:
    """Count the classes of the masks and compare them with the image-level labels.

    Single images that differ are only noted, because labels and masks of good sets differ in a few.
    A class is wrong if fewer than a third of the images that have it in label or mask have it in
    both, or if its images have the id of another class.
    """
    both, either = (dict.fromkeys(dataset.object_classes, 0) for _ in range(2))
    own, ignored = dataset.own_classes, False
    pairs: list[tuple[set[int], set[int]]] = []
    for img_id, result in results.items():
        if result.ids is None or report.masked is None:
            continue
        ignored |= result.ignored
        shown = {own[k - 1] for k in result.ids} & {*dataset.object_classes}
        for name in shown:
            report.masked[name] += 1
        if img_id not in labels:
            continue
        tagged = {*labels[img_id]}
        pairs.append(({own.index(name) + 1 for name in tagged}, {*result.ids}))
        for name in tagged | shown:
            either[name] += 1
            both[name] += name in tagged & shown
        if tagged != shown:
            report.notes['labels and mask name different classes'][img_id] = (
                f'labels: {", ".join(sorted(tagged)) or "none"}; '
                f'mask: {", ".join(sorted(shown)) or "none"}'
            )
    disagreeing = swapped_classes([p[0] for p in pairs], [p[1] for p in pairs], own)
    for name, count in either.items():
        if name not in disagreeing and count >= 3 and 3 * both[name] < count:
            detail = f'{both[name]} of {count} images have it in both'
            if ignored and not report.masked[name]:  # type: ignore[index]
                detail += (
                    f'; 255 in a mask means ignored, the id of this class is {own.index(name) + 1}'
                )
            disagreeing[name] = detail
    report.findings['classes that labels and masks disagree on'] = disagreeing


def _check_files(job: tuple[str | None, str | None, int]) -> FileCheck:
    """Decode an image and its mask."""
    img_path, mask_path, num_classes = job
    problems: dict[str, str] = {}
    size, label, ids, black = None, None, None, False
    if img_path is not None:
        try:
            pixels = read_image(img_path)
            size, black = pixels.shape[:2], bool(pixels.max() <= _BLACK)
        except (ValueError, OSError) as error:
            problems['images unreadable'] = str(error)
    if mask_path is not None:
        try:
            label = read_mask(mask_path)
            ids, stray = classes_in_mask(label, num_classes, mask_path)
            if stray:
                problems['mask values out of range'] = (
                    f'{mask_path}: {stray}; expected 0..{num_classes} and {IGNORED}'
                )
        except (ValueError, OSError) as error:
            problems['masks unreadable'] = str(error)
    if size is not None and label is not None and label.shape != size:
        problems['sizes of image and mask differ'] = (
            f'image {size[1]}x{size[0]}, mask {label.shape[1]}x{label.shape[0]}'
        )
    return FileCheck(problems, ids, black, label is not None and bool((label == IGNORED).any()))
