"""Reading CVAT's XML, and folders and archives of masks: CVAT, VOC, YOLO, PNG files of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

import yaml

from ...utils.errors import Refusal
from ...utils.files import parse_json, parse_xml
from ...utils.label_png import IGNORED, class_colours, full_palette
from .json_formats import NO_AREA
from .shapes import cvat_mask, fill_outlines, png_regions, polygons
from .sources import Notes, Picture, Regions, Size, Source, readable

_CREAM = tuple(full_palette()[-3:])


def read_cvat_xml(source: Source, notes: Notes) -> Iterator[tuple[str, Picture]]:
    """Form and picture, of "CVAT for images"."""
    for name, where in source.files('.xml').items():
        root = parse_xml(source.text(name), where)
        if root.tag == 'annotations' and root.find('track') is not None:
            raise Refusal(f'{where} is "CVAT for video": export it as "CVAT for images 1.1"')
        for image in root.iter('image') if root.tag == 'annotations' else ():
            with readable(where):
                place = f'{where}, image {image.attrib["name"]!r}'
                size = int(image.attrib['height']), int(image.attrib['width'])
                regions = partial(_cvat_regions, image, place, notes)
                yield 'CVAT XML', Picture(place, image.attrib['name'], regions, size)


def _cvat_regions(image: Element, where: str, notes: Notes, size: Size) -> Regions:
    for shape in sorted(image, key=lambda one: int(one.get('z_order', 0))):
        if shape.tag == 'mask':
            yield shape.attrib['label'], cvat_mask(shape.attrib, size)
        elif shape.tag == 'polygon':
            points = [pair.split(',') for pair in shape.attrib['points'].split(';')]
            yield shape.attrib['label'], polygons([points], size)
        elif shape.tag != 'tag':
            notes[NO_AREA].append(f'{shape.tag} in {where}')


def read_yolo(source: Source, notes: Notes) -> Iterator[tuple[str, Picture]]:
    """Form and picture, of outlines in ``labels/**/<stem>.txt``, with the names of the classes."""
    texts = source.files('.txt').items()
    files = [pair for pair in texts if 'labels' in PurePosixPath(pair[0]).parts[:-1]]
    lists = source.files('.yaml', '.yml') or source.files('classes.txt')
    if files and not lists:
        raise Refusal(f'{source.path} has labels/*.txt, but no data.yaml with the class names')
    for listed, where in [*lists.items()][:1] if files else ():
        with readable(where):
            text = source.text(listed)
            found = text.splitlines() if listed.endswith('.txt') else yaml.safe_load(text)['names']
            names = dict(found.items() if isinstance(found, dict) else enumerate(found))
            if any(isinstance(name, (list, dict)) for name in names.values()):
                raise ValueError('a class name is no text')  # but a bomb of YAML, maybe
    for name, where in files:
        regions = partial(_yolo_regions, source.text(name).splitlines(), names, where, notes)
        photo = name.rpartition('labels/')[2].removesuffix('.txt')
        yield 'YOLO', Picture(where, photo, regions, outlined=True)


def _yolo_regions(
    lines: Sequence[str], names: Mapping[int, str], where: str, notes: Notes, size: Size
) -> Regions:
    for index, *numbers in map(str.split, filter(str.strip, lines)):
        if len(numbers) < 6:
            notes[NO_AREA].append(f'a box in {where}')
        else:
            yield str(names[int(index)]), fill_outlines([numbers], size)


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
