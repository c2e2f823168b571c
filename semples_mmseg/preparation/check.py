"""The dataset check: what is wrong with the files of a weakly labelled data set."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import join_path
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..datasets.labels import Label
from ..datasets.mask_checks import IGNORED
from ..datasets.weak_label import WeakLabelDataset
from ..utils.images import PHOTO_SUFFIXES, read_image
from ..utils.label_png import read_mask
from ..utils.lists import (
    files_below,
    find_images,
    missing_files,
    name_missing,
    read_image_ids,
    suffix_list,
)
from ..utils.names import check_image_id
from ..utils.parallel import parallel_map
from ..utils.progress import progress
from .voc_masks import classes_in_mask

FINDINGS = (
    'images missing',
    'images unreadable',
    'images almost black',
    'images with another suffix',
    'images without labels',
    'labels without images',
    'labels unreadable',
    'masks missing',
    'masks unreadable',
    'mask values out of range',
    'sizes of image and mask differ',
    'classes that labels and masks disagree on',
)
"""What is wrong: with any of these the data set is not clean."""

NOTES = ('images with an empty list of labels', 'labels and mask name different classes')
"""What may be as it should."""

_BLACK = 15


@dataclass
class Report:
    """What was found in one data set.

    Attributes:
        name: What was checked.
        images: Number of images listed.
        labelled: Images by class, counted from the image-level labels.
        masked: Images by class, counted from the masks; None if no masks were checked.
        findings: Image ids (class names for the last kind) and what is wrong with them, by kind;
            see :data:`FINDINGS`.
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
class FileCheck:
    """What the image and the mask of one id hold.

    Attributes:
        problems: Details by kind of finding.
        ids: Object classes 1..K of the mask; None without a readable mask.
        black: Whether no pixel of the image is brighter than 15 of 255.
        ignored: Whether the mask has the value 255.
    """

    problems: Mapping[str, str]
    ids: Sequence[int] | None
    black: bool = False
    ignored: bool = False


def check_dataset(dataset: WeakLabelDataset, name: str = '', workers: int | None = None) -> Report:
    """Check all files of a data set: lists, labels, every image, and every mask if it has some.

    Every image is decoded completely. Labels without an image are searched for in the whole label
    file, everything else among the images of the split list; without a list these are all images
    of the folder.

    Args:
        dataset: The data set, built with ``lazy_init=True`` so that it does not stop at the first
            problem. Its masks are checked if it has them (``test_mode``).
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


def print_report(report: Report, console: Console, examples: int = 3) -> None:
    """Print the counts per class and what was found.

    Args:
        report: Findings of one data set.
        console: Where to.
        examples: How many images of each kind of finding are named.
    """
    console.print(f'{report.name}: {report.images} images', markup=False, soft_wrap=True)
    classes = Table('class')
    classes.add_column('labelled', justify='right')
    if report.masked is not None:
        classes.add_column('in mask', justify='right')
    for name, count in report.labelled.items():
        row = [count] if report.masked is None else [count, report.masked[name]]
        classes.add_row(escape(name), *map(str, row))
    console.print(classes)
    for title, kinds in (('wrong', report.findings), ('notes', report.notes)):
        table = Table(title, 'examples')
        table.add_column('number', justify='right')
        for kind, found in kinds.items():
            if found:
                shown = [f'{i}: {detail}' for i, detail in list(found.items())[:examples]]
                table.add_row(kind, escape('\n'.join(shown)), str(len(found)))
        if table.row_count:
            console.print(table)
    console.print('clean' if report.clean else '[red]not clean[/red]')


def _listed(dataset: WeakLabelDataset, img_dir: str, report: Report) -> list[str]:
    """Image ids of the split list, or of all images in the folder."""
    if dataset.ann_file:
        return read_image_ids(dataset.ann_file)
    ends = suffix_list(dataset.img_suffix)
    found = files_below(img_dir, ends)
    if not found:
        raise FileNotFoundError(f'no image *{" *".join(ends)} in {img_dir}; check the suffix')
    for other in {*files_below(img_dir, PHOTO_SUFFIXES)} - {*found}:
        report.findings['images with another suffix'][other] = (
            f'not used; the suffix is {", ".join(ends)} (--image-suffix takes several)'
        )
    names = [next(name.removesuffix(e) for e in ends if name.endswith(e)) for name in found]
    return [check_image_id(name, f'folder {img_dir}') for name in dict.fromkeys(names)]


def _check_labels(
    dataset: WeakLabelDataset, img_ids: Sequence[str], report: Report
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

    Single images that differ are noted, for labels and masks of good sets differ in a few. A class
    is wrong if less than a third of the images that have it in either have it in both.
    """
    both, either = (dict.fromkeys(dataset.object_classes, 0) for _ in range(2))
    ignored = False
    for img_id, result in results.items():
        if result.ids is None or report.masked is None:
            continue
        ignored |= result.ignored
        shown = {dataset.own_classes[k - 1] for k in result.ids} & {*dataset.object_classes}
        for name in shown:
            report.masked[name] += 1
        if img_id not in labels:
            continue
        tagged = {*labels[img_id]}
        for name in tagged | shown:
            either[name] += 1
            both[name] += name in tagged & shown
        if tagged != shown:
            report.notes['labels and mask name different classes'][img_id] = (
                f'labels: {", ".join(sorted(tagged)) or "none"}; '
                f'mask: {", ".join(sorted(shown)) or "none"}'
            )
    for name, count in either.items():
        if count >= 3 and 3 * both[name] < count:
            detail = f'{both[name]} of {count} images have it in both'
            if ignored and not report.masked[name]:  # type: ignore[index]
                detail += (
                    '; 255 in a mask means ignored, the id of this class is '
                    f'{dataset.own_classes.index(name) + 1}'
                )
            report.findings['classes that labels and masks disagree on'][name] = detail


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
