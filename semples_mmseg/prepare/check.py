"""The dataset check: what is wrong with the files of a weakly labelled data set."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import join_path
from rich.console import Console
from rich.table import Table

from ..datasets.weak_label import WeakLabelDataset
from ..utils.checks import BLACK, FileCheck, Files, check_all, swapped_classes
from ..utils.errors import Missing, Refusal
from ..utils.label_png import IGNORED
from ..utils.lists import find_images, ids_below, missing_files, name_missing, read_image_ids
from ..utils.names import is_image_id
from ..utils.parallel import progress

FINDINGS = (
    'images missing',
    'images unreadable',
    'images almost black',
    'images with another suffix',
    'images whose name is no image id',
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
"""What may be intended."""


@dataclass
class Report:
    """What was found in one data set: image ids (or class names) and what is wrong, by kind.

    ``labelled`` and ``masked`` count images by class, the latter None if no masks were checked.
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

    def show(self, console: Console) -> None:
        """Print the counts per class and what was found."""
        console.print(f'{self.name}: {self.images} images', soft_wrap=True)
        classes = Table('class')
        classes.add_column('labelled', justify='right')
        if self.masked is not None:
            classes.add_column('in mask', justify='right')
        for name, count in self.labelled.items():
            row = [count] if self.masked is None else [count, self.masked[name]]
            classes.add_row(name, *map(str, row))
        console.print(classes)
        for title, kinds in (('wrong', self.findings), ('notes', self.notes)):
            table = Table(title, 'examples')
            table.add_column('number', justify='right')
            for kind, found in kinds.items():
                if found:
                    shown = [f'{i}: {detail}' for i, detail in list(found.items())[:3]]
                    table.add_row(kind, '\n'.join(shown), str(len(found)))
            if table.row_count:
                console.print(table)
        console.print('clean') if self.clean else console.print('not clean', style='red')


def check_dataset(dataset: WeakLabelDataset, name: str = '', workers: int | None = None) -> Report:
    """Check all files of a data set: lists, labels, every image, and every mask if there are any.

    It is built with ``lazy_init=True``, so that it does not stop at the first problem. Lists, label
    files and folders that are missing or wrong as a whole are refused. ``workers`` is the number of
    processes, all processors by default.
    """
    img_dir, mask_dir = dataset.data_prefix['img_path'], dataset.data_prefix.get('seg_map_path')
    for folder in filter(None, (img_dir, mask_dir)):
        if not Path(folder).is_dir():
            raise Missing(f'folder {folder} does not exist')
    counts = dict.fromkeys(dataset.object_classes, 0)
    report = Report(name, 0, dict(counts), dict(counts) if mask_dir else None)
    img_ids = _listed(dataset, img_dir, report)
    report.images = len(img_ids)
    paths, absent = find_images(img_dir, img_ids, dataset.img_suffix)
    images = dict(zip(img_ids, paths, strict=True))
    masks = {i: join_path(mask_dir, i + dataset.seg_map_suffix) for i in img_ids if mask_dir}

    gone = {*absent, *missing_files(masks.values())}
    for kind, paths_of in (('images missing', images), ('masks missing', masks)):
        report.findings[kind] = {i: name_missing([p]) for i, p in paths_of.items() if p in gone}
    labels = _check_labels(dataset, img_ids, report)
    files = []
    for img_id in img_ids:
        image, mask = (
            None if paths_of.get(img_id) in gone else paths_of.get(img_id)
            for paths_of in (images, masks)
        )
        files.append(Files(image, mask, len(dataset.own_classes)))
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
    ids, others = ids_below(img_dir, dataset.img_suffix)
    if not ids:
        raise Missing(f'no image *{dataset.img_suffix} in {img_dir}; check the suffix')
    detail = f'not used; the suffix is {dataset.img_suffix} (--image-suffix takes several)'
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
    given = dataset.load_image_labels(img_ids) if dataset.label_file else None
    good = {}
    for img_id in progress(img_ids, 'labels'):
        try:
            found = dataset.load_image_labels([img_id]) if given is None else given
            if img_id not in found:
                report.findings['images without labels'][img_id] = 'no entry'
                continue
            multi_hot = dataset.encode_labels(found[img_id], img_id)
        except (ValueError, OSError) as error:
            report.findings['labels unreadable'][img_id] = str(error)
            continue
        good[img_id] = [dataset.object_classes[k] for k in np.flatnonzero(multi_hot)]
        for name in good[img_id]:
            report.labelled[name] += 1
        if not good[img_id]:
            report.notes['images with an empty list of labels'][img_id] = 'none of the classes'
    for img_id in sorted({*(given or ())} - {*img_ids}):
        _, missing = find_images(dataset.data_prefix['img_path'], [img_id], dataset.img_suffix)
        if missing:
            report.findings['labels without images'][img_id] = name_missing(missing)
    return good


def _compare_classes(
    dataset: WeakLabelDataset,
    labels: Mapping[str, Sequence[str]],
    results: Mapping[str, FileCheck],
    report: Report,
) -> None:
    """Count the classes of the masks and compare them with the image-level labels.

    Single images that differ are only noted. A class is wrong if fewer than a third of the images
    that have it in label or mask have it in both, or if its images have the id of another class.
    """
    own, known = dataset.own_classes, {*dataset.object_classes}
    masks = {i: result.ids for i, result in results.items() if result.ids is not None}
    ids = {i: found & {*range(1, len(own) + 1)} for i, found in masks.items()}
    shown = {i: {own[k - 1] for k in found} & known for i, found in ids.items()}
    if report.masked is not None:
        report.masked = {k: sum(k in names for names in shown.values()) for k in report.masked}
    both = {i: ({*labels[i]}, shown[i]) for i in shown if i in labels}
    for img_id, sides in both.items():
        if sides[0] != sides[1]:
            tagged, seen = (', '.join(sorted(names)) or 'none' for names in sides)
            note = f'labels: {tagged}; mask: {seen}'
            report.notes['labels and mask name different classes'][img_id] = note
    wanted = [{own.index(name) + 1 for name in tagged} for tagged, _ in both.values()]
    disagreeing = swapped_classes(wanted, [ids[i] for i in both], own)
    for name in dataset.object_classes:
        either = sum(name in tagged | seen for tagged, seen in both.values())
        agreed = sum(name in tagged & seen for tagged, seen in both.values())
        if name not in disagreeing and either >= 3 and 3 * agreed < either:
            detail = f'{agreed} of {either} images have it in both'
            unseen = not any(name in names for names in shown.values())
            if unseen and any(IGNORED in found for found in masks.values()):
                own_id = own.index(name) + 1
                detail += f'; 255 in a mask means ignored, the id of this class is {own_id}'
            disagreeing[name] = detail
    report.findings['classes that labels and masks disagree on'] = disagreeing
