"""Preparing PASCAL VOC 2012: the augmented list, its masks, and image-level labels."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat

from ..datasets.voc import WeakVOCDataset, read_object_names
from ..utils.checks import ids_of
from ..utils.errors import Missing, Refusal
from ..utils.io import atomic_write
from ..utils.label_png import IGNORED, check_ids, read_mask, write_mask
from ..utils.lists import explain_unknown, missing_files, name_some, read_image_ids
from ..utils.parallel import parallel_map, progress
from .outputs import is_current, label_lines, write_files

COUNTS = dict(train_aug=10582, train=1464, val=1449)
CLASSES: tuple[str, ...] = tuple(WeakVOCDataset.METAINFO['classes'][1:])


class PreparedVOC(NamedTuple):
    """What was found and made now; images ``from_masks`` have no annotation."""

    counts: Mapping[str, int]
    masks_made: int
    from_xml: int
    from_masks: Sequence[str]
    written: Sequence[Path]


def prepare_voc(
    root: Path,
    masks: Path | None = None,
    sbd: Path | None = None,
    label_file: str = 'image_labels.json',
    subset: bool = False,
    overwrite: bool = False,
    workers: int | None = None,
) -> PreparedVOC:
    """Prepare a download of VOC 2012 for weakly supervised training; options as of the tool.

    ``train_aug`` is VOC's train and the augmented images, without VOC's val. Its masks and those of
    val are collected in ``SegmentationClassAug``: from a folder of PNG files (this one by default),
    or, converted, from SBD's ``benchmark_RELEASE``, with VOC's own masks. Labels are the objects of
    the XML annotations; an image without one gets the classes of its mask. Correct files are kept;
    lists and labels are written last.
    """
    lists = root / 'ImageSets/Segmentation'
    for folder in (root / 'JPEGImages', lists):
        if not folder.is_dir():
            raise Missing(
                f'{folder} does not exist; give the folder VOCdevkit/VOC2012 as unpacked from the '
                'download'
            )
    train, val = (read_image_ids(str(lists / f'{split}.txt')) for split in ('train', 'val'))
    sources = _sbd_sources(root, sbd, [*train, *val]) if sbd else _png_sources(root, masks)
    train_aug = sorted({*train, *sources} - {*val})
    counts = dict(train_aug=len(train_aug), train=len(train), val=len(val))
    wrong = [f'{k} has {counts[k]}, not {n}' for k, n in COUNTS.items() if counts[k] != n]
    if wrong and not subset:
        raise Refusal(
            f'not the full VOC 2012 with SBD: {"; ".join(wrong)}. Look for missing files in '
            f'{sbd or masks or root / "SegmentationClassAug"}, or accept a part of the set '
            '(--subset)'
        )
    if not overwrite:
        is_current(lists / 'train_aug.txt', train_aug)  # before the long work

    img_ids = sorted({*train_aug, *val})
    _check_there([root / f'JPEGImages/{i}.jpg' for i in img_ids], 'image', 'unpack VOC 2012 anew')
    folder = root / 'SegmentationClassAug'
    jobs = [(folder / f'{i}.png', sources.get(i, folder / f'{i}.png')) for i in img_ids]
    needed = [source for target, source in jobs if not target.is_file()]
    _check_there(needed, 'mask', 'complete the folder of masks')

    results = [*progress(parallel_map(finish_mask, jobs, workers), 'masks', len(jobs))]
    annotated = [i for i in img_ids if (root / f'Annotations/{i}.xml').is_file()]
    read = parallel_map(_read_xml, [str(root / f'Annotations/{i}.xml') for i in annotated], workers)
    from_xml = dict(zip(annotated, progress(read, 'annotations', len(annotated)), strict=True))
    labels = {
        i: from_xml.get(i, [CLASSES[k - 1] for k in present])
        for i, (present, _) in zip(img_ids, results, strict=True)
    }
    texts = {lists / 'train_aug.txt': train_aug, root / label_file: label_lines(labels)}
    return PreparedVOC(
        counts=counts,
        masks_made=sum(made for _, made in results),
        from_xml=len(from_xml),
        from_masks=[i for i in img_ids if i not in from_xml],
        written=write_files(texts, overwrite),
    )


def _png_sources(root: Path, masks: Path | None) -> dict[str, Path]:
    """Masks by image id, from a folder of PNG files."""
    folder = masks or root / 'SegmentationClassAug'
    paths = folder.glob('[!.]*.png') if folder.is_dir() else ()  # no hidden ones: ._x.png
    found = {path.stem: path for path in paths}
    if not found:
        raise Missing(
            f'no PNG masks in {folder}; the augmented set is needed: either SegmentationClassAug '
            '(--masks) or the SBD release (--sbd)'
        )
    return found


def _sbd_sources(root: Path, sbd: Path, own: Sequence[str]) -> dict[str, Path]:
    """Masks by image id: VOC's own as PNG, the other images of SBD's two lists as MATLAB files."""
    dataset = sbd / 'dataset' if (sbd / 'dataset').is_dir() else sbd
    if not (dataset / 'cls').is_dir():
        raise Missing(
            f'{dataset}/cls does not exist; give the folder benchmark_RELEASE of the SBD release '
            '(--sbd)'
        )
    img_ids = [
        i for split in ('train', 'val') for i in read_image_ids(str(dataset / f'{split}.txt'))
    ]
    sources = {i: dataset / f'cls/{i}.mat' for i in img_ids}
    return sources | {i: root / f'SegmentationClass/{i}.png' for i in own}


def _check_there(paths: Sequence[Path], kind: str, fix: str) -> None:
    missing = missing_files(str(path) for path in paths)
    if missing:
        raise Missing(f'{kind} missing: {name_some(missing)}; {fix}')


def _read_xml(path: str) -> list[str]:
    """Class names of an annotation, each once, in VOC's order."""
    names = read_object_names(path)
    for name in names:
        if name not in CLASSES:
            raise Refusal(f'annotation {path}: {explain_unknown(name, CLASSES)}')
    return sorted({*names}, key=CLASSES.index)


def read_sbd_mask(path: str | os.PathLike) -> np.ndarray:
    """VOC's class ids in a file of SBD's ``dataset/cls``, uint8 of shape ``(H, W)``."""
    try:
        label = loadmat(path, appendmat=False)['GTcls']['Segmentation'][0, 0]
    except FileNotFoundError:
        raise
    except Exception as error:  # SciPy raises many types for damaged files
        raise Refusal(
            f'{path} is not a class annotation of SBD with GTcls.Segmentation '
            f'({type(error).__name__}: {error}); unpack the release anew'
        ) from error
    if label.ndim != 2 or label.dtype != np.uint8 or not label.size:
        raise Refusal(
            f'{path}: GTcls.Segmentation has shape {label.shape} and type {label.dtype}; expected '
            '(H, W) of uint8'
        )
    return label


def finish_mask(job: tuple[Path, Path]) -> tuple[list[int], bool]:
    """Check a mask, or write it from PNG or ``.mat``: its classes 1..20, and if written now."""
    target, source = job
    made = not target.exists()
    path = source if made else target
    converted = path.suffix == '.mat'
    label = read_sbd_mask(path) if converted else read_mask(path)
    check_ids(label, len(CLASSES) + 1, path)
    if made and converted:
        write_mask(target, label)
    elif made:
        with atomic_write(target, 'wb') as file:
            file.write(path.read_bytes())
    return sorted(ids_of(label) - {0, IGNORED}), made
