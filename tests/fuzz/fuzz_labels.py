"""Split lists, label files, VOC's annotations and COCO's instances.

python tests/fuzz/fuzz_labels.py --inputs 10000 --seed 0
"""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from damage import damage
from harness import Findings, Limits, command, run

from semples_mmseg.datasets import COCO_CLASSES, WeakLabelDataset
from semples_mmseg.datasets.voc import read_object_names
from semples_mmseg.preparation.coco import read_instances
from semples_mmseg.preparation.coco_masks import paint
from semples_mmseg.utils.label_png import mask_path
from semples_mmseg.utils.lists import read_image_ids, read_label_file

LIMITS = Limits(memory=48 << 20, reserved=1 << 28)
ALLOWED = (ValueError, OSError)
CLASSES = ('cat', 'dog', 'bird/"quoted"', "l'oiseau", '鳥')
IDS = (
    'a', '2007_000032', 'train2014/COCO_train2014_000000000009', '-rf', 'CON', '鳥', 'a b', "it's",
    '../../x', '/etc/passwd', 'a/../../b', 'a/./b', 'a//b', '', '.', '..', 'C:\\x', 'x\0y', 'x\ny',
    '\ud800', 'x' * 300, 'x/' * 50 + 'x', 'e\u0301', '\u2028', '~root', '$(x)', '*',
)  # fmt: skip


def make_list(rng: random.Random) -> bytes:
    """A split list with good and bad ids, byte order marks and all line ends."""
    chosen = rng.sample(IDS[:6], rng.randint(0, 4)) + [rng.choice(IDS)] * (rng.random() < 0.6)
    end = rng.choice(('\n', '\r\n', '\r', '\x0b', '\u2028'))
    encoding = rng.choice(('utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'utf-32'))
    content = end.join(chosen).encode(encoding, 'surrogatepass')
    return damage(content, rng) if rng.random() < 0.4 else content


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = rng.randrange(9 if depth < 4 else 7)
    if kind == 7:
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if kind == 8:
        return {rng.choice(IDS): value(rng, depth + 1) for _ in range(rng.randint(0, 3))}
    plain = (None, True, -1, 10**30, float('nan'), rng.choice(CLASSES), rng.choice(IDS))
    return plain[kind]


def json_bomb(rng: random.Random) -> str:
    """JSON that is deep, long, or says something twice."""
    return rng.choice(
        (
            '[' * 100_000,
            '{"a":' * 100_000,
            '[' * 50_000 + ']' * 50_000,
            '{"a": ' + '9' * 100_000 + '}',
            '{"a": ["cat"], "a": ["dog"]}',
            '{"a": [NaN]}',
            '{"a": [1e999]}',
            '{"\\ud800": ["cat"]}',
            '{' + ','.join(f'"{i}":[]' for i in range(2000)) + '}',
        )
    )


def make_labels(rng: random.Random) -> bytes:
    """A label file."""
    choice = rng.random()
    if choice < 0.2:
        return json_bomb(rng).encode()
    labels: Any = {i: rng.sample(CLASSES, 2) for i in rng.sample(IDS[:8], 3)}
    if choice < 0.6:
        labels[rng.choice(IDS)] = value(rng)
    if choice < 0.3:
        labels = value(rng)
    encoding = rng.choice(('utf-8', 'utf-8', 'utf-8', 'utf-8-sig', 'utf-16', 'latin-1'))
    text = json.dumps(labels, ensure_ascii=rng.random() < 0.5)
    content = text.encode(encoding, 'replace' if encoding == 'latin-1' else 'surrogatepass')
    return damage(content, rng) if rng.random() < 0.4 else content


def load_labels(path: Path) -> None:
    """Read a label file, encode the labels, and see that ids stay in their folder."""
    dataset = WeakLabelDataset(
        label_file=str(path), class_names=CLASSES, data_prefix=dict(img_path='.'), lazy_init=True
    )
    for img_id, labels in read_label_file(str(path)).items():
        assert dataset.encode_labels(labels, img_id).shape == (len(CLASSES),)
        stays_inside(img_id)


def stays_inside(img_id: str) -> None:
    """See that the mask of an id would be written below its folder."""
    folder = Path('/nowhere')
    assert mask_path(folder, img_id).resolve().is_relative_to(folder)


def load_list(path: Path) -> None:
    """Read a split list and see that its ids stay in their folder."""
    for img_id in read_image_ids(str(path)):
        stays_inside(img_id)


def make_annotation(rng: random.Random) -> bytes:
    """A VOC annotation, or one with entities, of great depth, in another encoding."""
    names = ''.join(f'<object><name>{rng.choice(CLASSES)}</name></object>' for _ in range(3))
    good = f'<annotation>{names}</annotation>'
    laughs = ''.join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    choice = rng.random()
    if choice < 0.3:
        good = rng.choice(
            (
                f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><annotation>&l11;</annotation>',
                '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
                '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><annotation/>',
                '<annotation>' * 50_000,
                '<annotation>' + '<object>' * 50_000 + '</object>' * 50_000 + '</annotation>',
                f'<annotation {" ".join(f"a{i}=" + chr(34) * 2 for i in range(5000))}/>',
                '<?xml version="1.0" encoding="utf-7"?>' + good,
                '<annotation><object><name> </name></object></annotation>',
                '<html/>',
            )
        )
    content = good.encode(rng.choice(('utf-8', 'utf-8', 'utf-8-sig', 'utf-16')))
    return damage(content, rng) if rng.random() < 0.5 else content


def make_instances(rng: random.Random) -> bytes:
    """A file of COCO instances with something wrong, mostly."""
    numbers = (
        0,
        -1,
        1,
        4,
        7,
        100,
        10**9,
        10**18,
        2**31,
        float('inf'),
        float('nan'),
        '8',
        None,
        True,
    )
    polygon = [1, 1, 6, 1, 6, 5.5]
    runs = dict(size=[9, 8], counts=[10, 20, 42])
    image = dict(id=1, file_name='a.jpg', height=9, width=8)
    region = dict(id=5, image_id=1, category_id=3, segmentation=[polygon], iscrowd=0)
    if rng.random() < 0.4:
        region['segmentation'] = runs
        kind = rng.randrange(4)
        if kind == 1:
            runs['counts'] = [rng.choice(numbers) for _ in range(rng.randint(0, 5))]
        elif kind == 2:
            runs['counts'] = ''.join(chr(rng.randint(40, 120)) for _ in range(rng.randint(0, 12)))
        elif kind == 3:
            runs['size'] = rng.choice(([9, 8, 1], [8, 9], [10**6] * 2, None, 'xy'))
    elif rng.random() < 0.5:
        for _ in range(2):
            polygon[rng.randrange(6)] = rng.choice(numbers)
        polygon *= rng.choice((1, 1, 500))
    content: dict[str, Any] = dict(
        images=[image, dict(image, id=2, file_name='b.jpg')],
        annotations=[region, dict(region, id=6)],
        categories=[dict(id=i, name=name) for i, name in enumerate(COCO_CLASSES, 1)],
    )
    if rng.random() < 0.3:
        part = rng.choice((image, region, content, content['images'], content['annotations']))
        if isinstance(part, dict):
            part[rng.choice(list(part))] = rng.choice((*numbers, value(rng)))
        else:
            part.append(value(rng))
    data = json.dumps(content).encode()
    return damage(data, rng) if rng.random() < 0.2 else data


def load_instances(path: Path) -> None:
    """Read instances and paint their masks, where the images have the sizes of the file."""
    for image in read_instances(path):
        stays_inside(Path(image.name).stem)
        if image.size == (9, 8):
            try:
                label = paint(image.regions, image.size)
            except ValueError as error:  # the caller knows the image
                raise ValueError(f'mask of {path}: {error}') from error
            assert label.shape == (9, 8) and label.max() <= 255


LOADERS: dict[str, tuple[Callable[[random.Random], bytes], Callable[[Path], Any], str]] = {
    'lists': (make_list, load_list, '.txt'),
    'labels': (make_labels, load_labels, '.json'),
    'annotations': (make_annotation, lambda path: read_object_names(str(path)), '.xml'),
    'instances': (make_instances, load_instances, '.json'),
}


def warm_up() -> None:
    """Import what Python imports on first use: to the harness that looks like code that runs."""
    b'x'.decode('utf-8-sig')


def fuzz(inputs: int | Sequence[int], seed: int) -> dict[str, Findings]:
    """Outcomes by loader."""
    warm_up()
    return {
        name: run(name, make, load, ALLOWED, LIMITS, inputs=inputs, seed=seed, suffix=suffix)
        for name, (make, load, suffix) in LOADERS.items()
    }


if __name__ == '__main__':
    raise SystemExit(command('Fuzz the loaders of lists and labels', fuzz))
