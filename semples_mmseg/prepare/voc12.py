"""Preparing PASCAL VOC 2012: the augmented list, its masks, and image-level labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..datasets.voc import WeakVOCDataset, read_object_names
from ..utils.errors import Missing, Refusal
from ..utils.lists import explain_unknown, missing_files, name_some, read_image_ids
from ..utils.parallel import parallel_map
from ..utils.progress import progress
from .outputs import is_current, label_lines, write_files
from .voc_masks import finish_mask

COUNTS = dict(train_aug=10582, train=1464, val=1449)
CLASSES: tuple[str, ...] = tuple(WeakVOCDataset.METAINFO['classes'][1:])


@dataclass(frozen=True)
class PreparedVOC:
    """What ``prepare_voc`` found and wrote.

    Attributes:
        counts: Images of each split.
        masks_made: Masks that were written; the others existed.
        from_xml: Images whose labels come from their annotation.
        from_masks: Images without annotation, whose labels come from their mask.
        written: Lists and label files that were written; correct ones are kept.
    """

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
    """Prepare a download of VOC 2012 for weakly supervised training.

    ``train_aug`` is VOC's train and the augmented images, without VOC's val. Its masks and those of
    val are collected in ``SegmentationClassAug`` for evaluation. The labels of both are the objects
    of the XML annotations; an image without one gets the classes of its mask. Correct files
    are kept; lists and labels are written last.

    Args:
        root: ``VOCdevkit/VOC2012`` with ``JPEGImages`` and, in ``ImageSets/Segmentation``,
            ``train.txt`` and ``val.txt``.
        masks: Folder of the augmented masks, PNG; ``root/SegmentationClassAug`` by default.
        sbd: SBD's ``benchmark_RELEASE`` instead of ``masks``; its class annotations are
            converted, and VOC's own masks taken from ``root/SegmentationClass``.
        label_file: Name of the JSON file of labels, relative to ``root``.
        subset: Accept other numbers of images than the full set has.
        overwrite: Replace a list or label file of other content.
        workers: Number of processes; all processors by default.

    Returns:
        What was found and written.

    Raises:
        FileNotFoundError: If the folder, a list, an image or a mask is missing.
        FileExistsError: If a list or a label file of other content exists.
        ValueError: If a list, a mask or an annotation is wrong, or the numbers of images are not
            those of VOC 2012 and SBD.
    """
    lists = root / 'ImageSets/Segmentation'
    for folder in (root / 'JPEGImages', lists):
        if not folder.is_dir():
            raise Missing(
                f'{folder} does not exist; give the folder VOCdevkit/VOC2012 as unpacked from the '
                'download'
            )
    train, val = (read_image_ids(str(lists / f'{split}.txt')) for split in ('train', 'val'))
    both = sorted({*train} & {*val})
    if both:
        raise Refusal(f'{lists}: {name_some(both)} are in train.txt and in val.txt')
    sources = _sbd_sources(root, sbd, [*train, *val]) if sbd else _png_sources(root, masks)
    train_aug = sorted({*train, *sources} - {*val})
    counts = dict(train_aug=len(train_aug), train=len(train), val=len(val))
    if not subset:
        _check_counts(counts, sbd or masks or root / 'SegmentationClassAug')
    if not overwrite:
        is_current(lists / 'train_aug.txt', train_aug)  # before the long work

    img_ids = sorted({*train_aug, *val})
    _check_there([root / f'JPEGImages/{i}.jpg' for i in img_ids], 'image', 'unpack VOC 2012 anew')
    folder = root / 'SegmentationClassAug'
    jobs = [
        (folder / f'{i}.png', sources.get(i, folder / f'{i}.png'), len(CLASSES)) for i in img_ids
    ]
    there = {*folder.glob('*.png')} if folder.is_dir() else set()
    needed = [source for target, source, _ in jobs if target not in there]
    _check_there(needed, 'mask', 'complete the folder of masks')

    results = [*progress(parallel_map(finish_mask, jobs, workers), 'masks', len(jobs))]
    from_xml = _labels_from_xml(root / 'Annotations', img_ids, workers)
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


def _check_counts(counts: Mapping[str, int], source: Path) -> None:
    wrong = [
        f'{split} has {counts[split]}, not {n}' for split, n in COUNTS.items() if counts[split] != n
    ]
    if wrong:
        raise Refusal(
            f'not the full VOC 2012 with SBD: {"; ".join(wrong)}. Look for missing files in '
            f'{source}, or accept a part of the set (--subset)'
        )


def _check_there(paths: Sequence[Path], kind: str, fix: str) -> None:
    missing = missing_files(str(path) for path in paths)
    if missing:
        raise Missing(f'{kind} missing: {name_some(missing)}; {fix}')


def _labels_from_xml(
    folder: Path, img_ids: Sequence[str], workers: int | None
) -> dict[str, list[str]]:
    """Labels of those images that have an annotation, each class once, in VOC's order."""
    paths = [str(folder / f'{i}.xml') for i in img_ids]
    missing = {*missing_files(paths)}
    there = [(i, path) for i, path in zip(img_ids, paths, strict=True) if path not in missing]
    read = parallel_map(_read_xml, [path for _, path in there], workers)
    labels = progress(read, 'annotations', len(there))
    return {i: names for (i, _), names in zip(there, labels, strict=True)}


def _read_xml(path: str) -> list[str]:
    """Class names of an annotation."""
    names = read_object_names(path)
    for name in names:
        if name not in CLASSES:
            raise Refusal(f'annotation {path}: {explain_unknown(name, CLASSES)}')
    return sorted({*names}, key=CLASSES.index)
