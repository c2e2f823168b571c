"""The dataset check: what is wrong with the files of a weakly labelled data set."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.fileio import join_path

from ..datasets.checks import BLACK, FileCheck, Files, check_all, swapped_classes
from ..datasets.labels import Label
from ..datasets.weak_label import WeakLabelDataset
from ..utils.errors import Missing, Refusal
from ..utils.label_png import IGNORED
from ..utils.lists import (
    find_images,
    ids_below,
    missing_files,
    name_missing,
    read_image_ids,
    suffix_list,
)
from ..utils.names import is_image_id
from ..utils.progress import progress
from .check_report import Report


def check_dataset(dataset: WeakLabelDataset, name: str = '', workers: int | None = None) -> Report:
    """Check all files of a data set: lists, labels, every image, and every mask if there are any.

    Labels without an image are searched for in the whole label file, everything else among the
    images of the split list; without a list these are all images of the folder.

    Args:
        dataset: The data set, built with ``lazy_init=True`` so that it does not stop at the first
            problem. Its masks are checked if it has them (``test_mode``).
        name: Name in the report.
        workers: Number of processes; all processors by default.

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
    for kind, paths_of in (('images missing', images), ('masks missing', masks)):
        report.findings[kind] = {i: name_missing([p]) for i, p in paths_of.items() if p in gone}
    labels = _check_labels(dataset, img_ids, report)
    num_classes = len(dataset.own_classes)
    files = [
        Files(
            None if images[i] in gone else images[i],
            None if masks.get(i) in gone else masks.get(i),
            num_classes,
        )
        for i in img_ids
    ]
    checked = check_all(files, 'images and masks' if masks else 'images', workers)
    results = dict(zip(img_ids, checked, strict=True))
    for img_id, result in results.items():
        for kind, detail in result.problems.items():
            report.findings[kind][img_id] = detail
    black = [i for i, result in results.items() if result.black]
    if len(black) > len(img_ids) / 2:  # a few may be photos taken in the dark
        detail = f'no value above {BLACK} of 255, e.g. 12-bit data in a 16-bit file; rescale them'
        report.findings['images almost black'] = dict.fromkeys(black, detail)
    _compare_classes(dataset, labels, results, report)
    return report


def _listed(dataset: WeakLabelDataset, img_dir: str, report: Report) -> list[str]:
    """Image ids of the split list, or of all images in the folder."""
    if dataset.ann_file:
        return read_image_ids(dataset.ann_file)
    ends = suffix_list(dataset.img_suffix)
    ids, others = ids_below(img_dir, ends)
    if not ids:
        raise Missing(f'no image *{" *".join(ends)} in {img_dir}; check the suffix')
    detail = f'not used; the suffix is {", ".join(ends)} (--image-suffix takes several)'
    report.findings['images with another suffix'] = dict.fromkeys(others, detail)
    odd = {ascii(i): 'rename the file' for i in ids if not is_image_id(i)}
    report.findings['images whose name is no image id'] = odd
    return [i for i in ids if is_image_id(i)]


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
    pairs: list[tuple[set[int], frozenset[int]]] = []
    for img_id, result in results.items():
        if result.ids is None or report.masked is None:
            continue
        ignored |= IGNORED in result.ids
        ids = result.ids & {*range(1, len(own) + 1)}
        shown = {own[k - 1] for k in ids} & {*dataset.object_classes}
        for name in shown:
            report.masked[name] += 1
        if img_id not in labels:
            continue
        tagged = {*labels[img_id]}
        pairs.append(({own.index(name) + 1 for name in tagged}, ids))
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
