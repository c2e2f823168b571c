"""Reading folders and archives of masks: CVAT, VOC, PNG files of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

from ...utils.files import parse_json
from ...utils.label_png import IGNORED, class_colours, full_palette
from .shapes import png_regions
from .sources import Picture, Regions, Size, Source, readable

_CREAM = tuple(full_palette()[-3:])


def read_pngs(
    source: Source, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> Iterator[tuple[str, Picture]]:
    """Form and picture, of PNG files of classes; 255, also as VOC's colour, is undecided.

    Names and colours are those of ``labelmap.txt`` (VOC, CVAT), else of ``classes.json``, else
    ``classes`` and ``palette``.
    """
    maps, tables = source.files('labelmap.txt'), source.files('classes.json')
    names, colours = list(classes), [tuple(colour) for colour in palette]
    for name, where in [*(maps or tables).items()][:1]:
        with readable(where):
            if maps:
                lines = [line for line in source.text(name).splitlines() if line[:1] not in ' #']
                rows = [line.rsplit(':', 3) for line in lines]
                # Where Datumaro writes no colours, they are VOC's.
                usual = zip(rows, class_colours(len(rows)), strict=True)
                pairs = [(row[0], row[1].split(',') if row[1] else voc) for row, voc in usual]
            else:
                entries = parse_json(source.text(name), where)
                pairs = [(entry['name'], entry['colour']) for entry in entries]
            names, colours = [name for name, _ in pairs], [tuple(map(int, c)) for _, c in pairs]
    by_id = dict(enumerate(names)) | {IGNORED: 'ignored'}
    by_colour = {_CREAM: 'ignored'} | dict(zip(colours, names, strict=True))
    files = source.files('.png')
    marked = [name for name in files if 'SegmentationClass' in PurePosixPath(name).parts[:-1]]
    for name in marked or files:
        where = files[name]
        with readable(where):
            size, regions = png_regions(source.read(name), where, by_id, by_colour)
        photo = name.rpartition('SegmentationClass/')[2].removesuffix(name[-4:])
        yield 'VOC' if maps else 'PNG', Picture(where, photo, partial(_given, regions), size)


def _given(regions: Regions, size: Size) -> Regions:
    return regions
