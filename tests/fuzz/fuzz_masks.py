"""Masks of all kinds, whole, damaged and forged, and SBD's MATLAB files.

python tests/fuzz/fuzz_masks.py --inputs 10000 --seed 0
"""

import io
import os
import random
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import scipy.io
from damage import damage
from fuzz_images import PIXELS, animation, damage_png, png_bomb, text_bomb, warm_up
from harness import Findings, Limits, command, run
from PIL import Image

from semples_mmseg.datasets.transforms import LoadCheckedAnnotations
from semples_mmseg.preparation.voc_masks import read_sbd_mask
from semples_mmseg.utils.images import LIMIT_VARIABLE
from semples_mmseg.utils.label_png import check_ids

SIZE = (31, 23)
CLASSES = 21
# a mask takes a byte a pixel, and one more while it is looked up; MATLAB files have 16 MiB at most
LIMITS = Limits(memory=12 << 20, reserved=1 << 28)
LIMITS_SBD = Limits(memory=80 << 20, reserved=1 << 28)
ALLOWED = (ValueError, OSError)


@cache
def mask(mode: str, highest: int, size: tuple[int, int] = SIZE, kind: str = 'PNG') -> bytes:
    """A picture with the values 0..highest."""
    ids = np.random.default_rng(0).integers(0, highest + 1, size[::-1])
    if mode == 'P':
        image = Image.fromarray(ids.astype(np.uint8))
        image.putpalette([value % 256 for value in range(768)])
    elif mode == 'I;16':
        image = Image.fromarray(ids.astype(np.uint16))
    else:
        image = Image.fromarray(ids.astype(np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def make_mask(rng: random.Random) -> bytes:
    """One mask: most are damaged, of a wrong mode, of another size, or of other values."""
    choice = rng.random()
    if choice < 0.6:
        harm = damage if choice < 0.2 else damage_png
        return harm(mask(rng.choice(('P', 'L')), rng.choice((3, 20, 255))), rng)
    if choice < 0.65:
        return mask('P', 20)
    if choice < 0.9:
        highest = rng.choice((1, 3, 15, 20, 21, 255))
        mode = rng.choice(('P', 'L', '1', 'RGB', 'RGBA', 'LA', 'I;16'))
        kind = rng.choice(('PNG', 'PNG', 'TIFF', 'GIF', 'BMP'))
        kind = kind if mode in ('P', 'L') else 'PNG'
        return mask(mode, highest, rng.choice((SIZE, SIZE[::-1], (1, 1), (999, 1000))), kind)
    return rng.choice((png_bomb, text_bomb, lambda rng: animation('PNG')))(rng)


def load_mask(path: Path) -> None:
    """Load a mask as all pipelines of evaluation and retraining do."""
    loader = LoadCheckedAnnotations()
    item = dict(seg_map_path=str(path), img_path='x.jpg', ori_shape=SIZE[::-1], label_map=None)
    label = loader.transform(item)['gt_seg_map']
    assert label.dtype == np.uint8 and label.shape == SIZE[::-1]
    check_ids(label, CLASSES, path)


@cache
def sbd(small: bool) -> bytes:
    """A class annotation like SBD's."""
    ids = np.random.default_rng(0).integers(0, 21, SIZE[::-1]).astype(np.uint8)
    cells = np.empty((20, 1), object)
    for k in range(20):
        cells[k, 0] = np.argwhere(ids == k)
    stream = io.BytesIO()
    content = dict(Boundaries=cells, Segmentation=ids, CategoriesPresent=np.unique(ids))
    scipy.io.savemat(stream, dict(GTcls=content), do_compression=small)
    return stream.getvalue()


def mat_bomb(rng: random.Random) -> bytes:
    """A variable that is huge when it is decompressed, or of cells in cells in cells."""
    return sbd(True)[:128] + rng.choice((huge_variable, nested_cells))()


@cache
def huge_variable() -> bytes:
    """A matrix of zeros, compressed."""
    return compressed(struct.pack('<II', 14, 2**31) + b'\0' * 60_000_000)


@cache
def nested_cells() -> bytes:
    """Cells of one cell each, compressed."""
    cell = struct.pack('<IIIIIIiiII', 6, 8, 1, 0, 5, 8, 1, 1, 1, 0)
    sizes = range(len(cell) * 20_000, 0, -len(cell))
    return compressed(b''.join(struct.pack('<II', 14, size) + cell for size in sizes))


def compressed(plain: bytes) -> bytes:
    """A compressed element of a MATLAB file."""
    data = zlib.compress(plain)
    return struct.pack('<II', 15, len(data)) + data


def make_sbd(rng: random.Random) -> bytes:
    """One MATLAB file; damage is done under the compression too."""
    choice = rng.random()
    if choice < 0.3:
        return damage(sbd(rng.random() < 0.5), rng)
    if choice < 0.35:
        return mat_bomb(rng)
    if choice < 0.4:
        return sbd(True)
    plain = sbd(False)
    if choice < 0.7:
        return plain[:128] + damage(plain[128:], rng)
    return plain[:128] + compressed(damage(plain[128:], rng))


def fuzz(inputs: int | Sequence[int], seed: int) -> dict[str, Findings]:
    """Outcomes by loader."""
    warm_up()
    os.environ[LIMIT_VARIABLE] = str(PIXELS)
    options = dict(inputs=inputs, seed=seed)
    return {
        'masks': run('masks', make_mask, load_mask, ALLOWED, LIMITS, suffix='.png', **options),
        'SBD': run('SBD', make_sbd, read_sbd_mask, ALLOWED, LIMITS_SBD, suffix='.mat', **options),
    }


if __name__ == '__main__':
    raise SystemExit(command('Fuzz the loaders of masks', fuzz))
