"""Images of all kinds, whole, damaged and forged, through the loader of the pipelines.

python tests/fuzz/fuzz_images.py --inputs 10000 --seed 0
"""

import io
import os
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from damage import damage
from harness import Findings, Limits, command, run
from PIL import Image

from semples_mmseg.datasets.transforms import LoadCheckedImage
from semples_mmseg.utils.images import LIMIT_VARIABLE

PIXELS = 1_000_000
# twice what decoding a good image of as many pixels takes
LIMITS = Limits(memory=24 << 20, reserved=1 << 28)
ALLOWED = (ValueError, OSError)
_KINDS: dict[str, tuple[str, ...]] = dict(
    PNG=('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16'),
    JPEG=('L', 'RGB', 'CMYK'),
    BMP=('1', 'L', 'P', 'RGB'),
    GIF=('L', 'P'),
    WEBP=('RGB', 'RGBA'),
    TIFF=('L', 'RGB'),
    PPM=('RGB',),
)


@cache
def picture(kind: str, mode: str, size: tuple[int, int]) -> bytes:
    """A good file; JPEGs of height above width are progressive and lie on their side."""
    rng = np.random.default_rng(0)
    if mode == 'I;16':
        image = Image.fromarray(rng.integers(0, 65536, size[::-1]).astype(np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
        image = image.convert('RGBA').convert(mode) if mode == 'LA' else image.convert(mode)
    options: dict = {}
    if kind == 'JPEG' and size[1] > size[0]:
        exif = Image.Exif()
        exif[0x0112] = 6
        options = dict(progressive=True, exif=exif)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@cache
def animation(kind: str) -> bytes:
    """Two pictures in one file."""
    frames = [Image.new('RGB', (20, 10), colour) for colour in ('red', 'blue')]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    return stream.getvalue()


@cache
def squeezed(byte: bytes, times: int) -> bytes:
    """One byte very many times, compressed."""
    return zlib.compress(byte * times)


def png_chunk(name: bytes, body: bytes) -> bytes:
    """A part of a PNG with the right check sum."""
    return struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))


END = png_chunk(b'IEND', b'')


def damage_png(good: bytes, rng: random.Random) -> bytes:
    """Damage what is behind a PNG's check sums, which would else keep decoders out of it."""
    parts, place = [good[:8]], 8
    chosen = rng.randrange(3)
    while place < len(good):
        size, name = struct.unpack('>I4s', good[place : place + 8])
        body = good[place + 8 : place + 8 + size]
        if name == b'IDAT' and chosen == 0:
            body = zlib.compress(damage(zlib.decompress(body), rng))
        elif chosen == 1 or (chosen == 2 and name != b'IDAT'):
            body = damage(body, rng)
        parts.append(png_chunk(name, body))
        place += size + 12
    return b''.join(parts)


def png_bomb(rng: random.Random) -> bytes:
    """A small file of very many pixels, declared or really there."""
    width, height = rng.choice(((60_000, 60_000), (1, 2**31 - 1), (4000, 4000), (2**31 - 1,) * 2))
    depth, colour = rng.choice(((8, 2), (8, 0), (16, 6), (1, 3)))
    head = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    data = squeezed(b'\0', rng.choice((10, 10_000_000)))
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', data) + END


def text_bomb(rng: random.Random) -> bytes:
    """A PNG whose comment or profile is huge when it is decompressed."""
    good = picture('PNG', 'RGB', (8, 8))
    name = rng.choice((b'zTXt', b'iCCP'))
    return good[:33] + png_chunk(name, b'x\0\0' + squeezed(b'a', 50_000_000)) + good[33:]


def large_sides(rng: random.Random) -> bytes:
    """A JPEG, GIF, BMP or WebP that declares sides it does not have."""
    kind = rng.choice(('JPEG', 'GIF', 'BMP', 'WEBP'))
    data = bytearray(picture(kind, _KINDS[kind][-1] if kind != 'JPEG' else 'RGB', (16, 12)))
    side = rng.choice((1000, 16383, 65535, 0))
    if kind == 'JPEG':
        place = data.index(b'\xff\xc0') + 5
        data[place : place + 4] = struct.pack('>HH', side, side)
    elif kind == 'GIF':
        data[6:10] = struct.pack('<HH', side, side)
    elif kind == 'BMP':
        data[18:26] = struct.pack('<ii', side * 1000, rng.choice((1, -1)) * side)
    else:
        data[24:30] = rng.randbytes(6)
    return bytes(data)


def many_scans(rng: random.Random) -> bytes:
    """A progressive JPEG with its last scan over and over."""
    good = picture('JPEG', 'RGB', (400, 401))
    last = good.rindex(b'\xff\xda')
    return good[:last] + good[last:-2] * rng.choice((3, 100, 5000)) + good[-2:]


def other_file(rng: random.Random) -> bytes:
    """Something that is no image at all."""
    return rng.choice(
        (
            b'',
            b'no picture\n',
            b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) run\n',
            b'P6 99999 99999 255\n',
            b'\x89PNG\r\n\x1a\n',
            b'\xff\xd8\xff',
            b'GIF89a',
            b'BM',
            b'RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff',
            rng.randbytes(rng.randint(1, 2000)),
        )
    )


def make_input(rng: random.Random) -> bytes:
    """One input: three in four are damaged files, the others good or forged."""
    kind = rng.choice(list(_KINDS))
    size = rng.choice(((1, 1), (16, 12), (61, 90)))
    good = picture(kind, rng.choice(_KINDS[kind]), size)
    choice = rng.random()
    if kind == 'PNG' and choice < 0.5:
        return damage_png(good, rng)
    if choice < 0.75:
        return damage(good, rng)
    if choice < 0.8:
        return good
    special: Sequence[Callable[[random.Random], bytes]] = (
        png_bomb,
        text_bomb,
        large_sides,
        many_scans,
        other_file,
        lambda rng: animation(rng.choice(('GIF', 'PNG', 'WEBP'))),
        lambda rng: damage(animation(rng.choice(('GIF', 'PNG', 'WEBP'))), rng),
    )
    return rng.choice(special)(rng)


def load(path: Path) -> None:
    """Load an image as all pipelines do, and see that it is one."""
    results = LoadCheckedImage(imdecode_backend='pillow').transform(dict(img_path=str(path)))
    assert results is not None
    image = results['img']
    assert image.dtype == np.uint8 and image.shape[2] == 3 and 0 < image.size <= 3 * PIXELS


def warm_up() -> None:
    """Import what Pillow imports on first use: to the harness that looks like code that runs."""
    Image.init()
    for kind, modes in _KINDS.items():
        with Image.open(io.BytesIO(picture(kind, modes[-1], (12, 16)))) as image:
            image.getexif()
            image.load()


def fuzz(inputs: int | Sequence[int], seed: int) -> dict[str, Findings]:
    """Outcomes by loader."""
    warm_up()
    os.environ[LIMIT_VARIABLE] = str(PIXELS)
    options = dict(inputs=inputs, seed=seed, suffix='.jpg')
    return dict(images=run('images', make_input, load, ALLOWED, LIMITS, **options))


if __name__ == '__main__':
    raise SystemExit(command('Fuzz the loader of images', fuzz))
