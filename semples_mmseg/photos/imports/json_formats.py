"""Reading JSON of labelme, COCO and Label Studio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from posixpath import dirname, join, normpath
from typing import Any

from ...prepare.coco import Region, decode_region
from ...utils.files import parse_json
from ...utils.images import PHOTO_SUFFIXES
from .shapes import decode_brush, labelme_shape, polygons
from .sources import Notes, Picture, Regions, Size, Source, readable

NO_AREA = 'shapes that are no mask or polygon, left out'
FILLED = 'masks with outlines around holes, which are filled, because outlines have none'


def read_json_formats(source: Source, notes: Notes) -> Iterator[tuple[str, Picture]]:
    """Form and picture, of all JSON files of a source; those of other content are left out."""
    for name, where in source.files('.json').items():
        content = parse_json(source.text(name), where)
        with readable(where):
            if isinstance(content, dict) and 'shapes' in content:
                photo = join(dirname(name), content['imagePath'].replace('\\', '/'))
                regions = partial(_labelme, content['shapes'], where, notes)
                size = _size(content.get('imageHeight'), content.get('imageWidth'))
                yield 'labelme', Picture(where, normpath(photo), regions, size)
            elif isinstance(content, dict) and {'images', 'annotations'} <= content.keys():
                for picture in _coco(content, where, notes):
                    yield 'COCO', picture
            for number, task in enumerate(content if isinstance(content, list) else (), 1):
                if isinstance(task, dict) and 'data' in task:
                    yield 'Label Studio', _task(task, f'{where}, task {number}', notes)


def _labelme(shapes: Sequence[Any], where: str, notes: Notes, size: Size) -> Regions:
    for shape in shapes:
        if (pixels := labelme_shape(shape, size)) is None:
            notes[NO_AREA].append(f'{shape.get("shape_type")!r} in {where}')
        else:
            yield shape['label'], pixels


def _coco(content: Mapping[str, Any], where: str, notes: Notes) -> Iterator[Picture]:
    names = {category['id']: category['name'] for category in content['categories']}
    own: dict[Any, list[tuple[str, Any]]] = defaultdict(list)
    for one in content['annotations']:
        own[one['image_id']].append((names[one['category_id']], one.get('segmentation')))
    # Label Studio writes the size of the stored photo, and outlines of the upright one.
    stretched = (content.get('info') or {}).get('contributor') == 'Label Studio'
    for image in content['images']:
        place, coded = f'{where}, image {image["file_name"]!r}', own[image['id']]
        outlined = any(isinstance(segmentation, list) for _, segmentation in coded)
        size = _size(image.get('height'), image.get('width'))
        regions = partial(_coco_regions, coded, place, notes)
        yield Picture(place, image['file_name'], regions, size, outlined, stretched)


def _coco_regions(
    coded: Sequence[tuple[str, Any]], where: str, notes: Notes, size: Size
) -> Regions:
    """The larger ones first, so that smaller ones are on top, as in our masks of COCO."""
    found = []
    for name, segmentation in coded:
        if not segmentation:
            notes[NO_AREA].append(f'a box of {name!r} in {where}')
        elif not isinstance(segmentation, list):
            found.append((name, decode_region(Region(1, False, segmentation, 0), size)))
        else:
            pixels = polygons(segmentation, size)
            parts = segmentation if len(segmentation) > 1 else ()
            if sum(polygons([part], size).sum() for part in parts) > pixels.sum():
                notes[FILLED].append(f'{name!r} in {where}')
            found.append((name, pixels))
    return sorted(found, key=lambda region: -region[1].sum())


def _task(task: Mapping[str, Any], where: str, notes: Notes) -> Picture:
    done = [one for one in task.get('annotations') or () if not one.get('was_cancelled')]
    # Of several annotations the last one counts.
    made = (done or task.get('predictions') or [{}])[-1]
    results = [one for one in made.get('result') or () if one.get('original_width')]
    texts = [value for value in task['data'].values() if isinstance(value, str)]
    photos = [text for text in texts if PurePosixPath(text).suffix in PHOTO_SUFFIXES]
    sizes = [_size(one['original_height'], one['original_width']) for one in results]
    regions = partial(_label_studio, results, where, notes)
    return Picture(where, (photos or texts)[0], regions, sizes[0] if sizes else None)


def _label_studio(results: Sequence[Any], where: str, notes: Notes, size: Size) -> Regions:
    for one in results:
        value = one['value']
        # Without a name it is a part of a region whose other part has the name.
        for name in next((value[key] for key in value if key.endswith('labels')), ())[:1]:
            if 'rle' in value:
                yield name, decode_brush(value['rle'], size)
            elif 'points' in value:
                points = [(x * size[1] / 100, y * size[0] / 100) for x, y in value['points']]
                yield name, polygons([points], size)
            else:
                notes[NO_AREA].append(f'{one.get("type")!r} in {where}')


def _size(height: Any, width: Any) -> Size | None:
    return (int(height), int(width)) if height and width else None
