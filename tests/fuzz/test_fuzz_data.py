"""Damaged images, masks, lists and labels are read, or refused with one error that names the file.

SEED and INPUTS can be set in the environment for a longer search.
"""

import io
import json
import os
import random
import struct
import zlib

import numpy as np
import pytest
import scipy.io
from PIL import Image

from semples_mmseg.datasets.voc import read_object_names
from semples_mmseg.datasets.weak_label import read_label_file
from semples_mmseg.photos.tag_files import read_tags
from semples_mmseg.prepare.cls_labels import read_cls_labels
from semples_mmseg.prepare.voc12 import read_sbd_mask
from semples_mmseg.utils.images import read_image
from semples_mmseg.utils.label_png import read_mask
from semples_mmseg.utils.lists import read_image_ids
from semples_mmseg.utils.photo_names import PhotoNames

INPUTS = int(os.environ.get('INPUTS', 60))
SEED = os.environ.get('SEED', '0')
PIXELS = np.random.default_rng(0).integers(0, 256, (31, 23, 3), np.uint8)


NASTY = (b'\0', b'\xff' * 8, b'\xff\xff\xff\x7f', b'\0\0\0\x80', b'%s', b'\n' * 50, b'\xed\xa0\x80')


def damage(content, rng):
    """Change a file in one to four places: bits, bytes, lengths, cuts, repetitions."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        place = rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))
        end, new = rng.choice(
            [
                (place + 1, bytes([data[place] ^ 1 << rng.randrange(8)])),
                (place + 1, rng.randbytes(1)),
                (place + 4, rng.choice((b'\xff' * 4, b'\x7f\xff\xff\xff', b'\0' * 4))),
                (len(data), b''),
                (place + rng.randint(1, 40), b''),
                (place, rng.choice(NASTY)),
                (place, data[place : place + rng.randint(1, 200)] * rng.randint(1, 20)),
            ]
        )
        data[place:end] = new
    return bytes(data)


def written(write, *arguments, **options):
    stream = io.BytesIO()
    write(stream, *arguments, **options)
    return stream.getvalue()


def image(kind, **options):
    return written(Image.fromarray(PIXELS).save, kind, **options)


def recompressed(content, rng):
    """Damage the pixels of a PNG behind its checksums, which would keep decoders away from them."""
    parts, place = [content[:8]], 8
    while place < len(content):
        size, name = struct.unpack('>I4s', content[place : place + 8])
        body = content[place + 8 : place + 8 + size]
        if name == b'IDAT':
            body = zlib.compress(damage(zlib.decompress(body), rng))
        chunk = name + body
        parts.append(struct.pack('>I', len(body)) + chunk + struct.pack('>I', zlib.crc32(chunk)))
        place += size + 12
    return b''.join(parts)


MASK = PIXELS[..., 0] % 3
# compressed, as SBD's are, so with a checksum
SBD = dict(mdict=dict(GTcls=dict(Segmentation=PIXELS[..., 0] % 21)), do_compression=True)
VECTORS = {f'2007_00000{i}': np.eye(2, dtype=np.float32)[i % 2] for i in range(4)}
LABELS = json.dumps({'a': ['cat'], 'b/c': ['dog', 'cat'], 'é': []}).encode()
XML = b'<annotation><object><name>cat</name></object><object><name>dog</name></object></annotation>'
CHOSEN = dict(type='choices', from_name='tags', value=dict(choices=['cat', 'dog']))
TASK = dict(data=dict(image='a.jpg'), annotations=[dict(result=[CHOSEN])])


def read_tag_file(path):
    return read_tags(path, PhotoNames(['a.jpg', 'b/c.jpg'], path.parent), ())


READERS = {
    'jpeg': (image('JPEG'), read_image),
    'progressive': (image('JPEG', progressive=True), read_image),
    'png': (image('PNG'), read_image),
    'webp': (image('WEBP'), read_image),
    'tiff': (image('TIFF', compression='tiff_lzw'), read_image),
    'bmp': (image('BMP'), read_image),
    'gif': (image('GIF'), read_image),
    'ppm': (image('PPM'), read_image),
    'jpeg2000': (image('JPEG2000'), read_image),
    'avif': (image('AVIF'), read_image),
    'mask': (written(Image.fromarray(MASK).save, 'PNG'), read_mask),
    'sbd': (written(scipy.io.savemat, **SBD), read_sbd_mask),
    'list': (b'a\nb/c\nmy photo 1\n', lambda path: read_image_ids(str(path))),
    'labels': (LABELS, lambda path: read_label_file(str(path), 3)),
    'xml': (XML, lambda path: read_object_names(str(path))),
    'table': (b'image,tag,by\na.jpg,"cat;dog",x\nb,"[""cat""]",\n', read_tag_file),
    'tasks': (json.dumps([TASK] * 3).encode(), read_tag_file),
    'pickle': (
        written(np.save, np.array(VECTORS, object)),
        lambda path: read_cls_labels(path, ('cat', 'dog')),
    ),
}


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
@pytest.mark.parametrize('name', READERS)
def test_damage_is_survived_and_named(name, tmp_path):
    good, read = READERS[name]
    path = tmp_path / 'input.dat'
    path.write_bytes(good)
    read(path)
    for number in range(INPUTS):
        rng = random.Random(f'{name}/{SEED}/{number}')
        harm = recompressed if name in ('png', 'mask') and number % 2 else damage
        path.write_bytes(harm(good, rng))
        try:
            read(path)
        except ValueError as error:
            assert path.name in str(error), (number, error)
