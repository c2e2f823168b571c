"""Opening images from strangers: what a file says of itself is checked before it is decoded."""

import io
import os

import numpy as np
from PIL import Image, ImageOps

from .files import read_bytes

LIMIT_VARIABLE = 'SEMPLES_MAX_PIXELS'
DEFAULT_MAX_PIXELS = 64_000_000
FORMATS = ('JPEG', 'PNG', 'BMP', 'GIF', 'WEBP')
"""What is recognised, whatever the file is called: Pillow alone would start Ghostscript for
PostScript that is called .jpg."""

MAX_SCANS = 200
"""Passes over a progressive JPEG; encoders make about ten, a few bytes each would keep us busy."""

_ORIENTATION = 0x0112
_CANVAS = (124, 117, 104)


def max_pixels() -> int:
    """Largest number of pixels of an image or mask; ``SEMPLES_MAX_PIXELS`` sets another.

    Raises:
        ValueError: If the variable is no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, '')
    if not text:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or not int(text):
        raise ValueError(f'{LIMIT_VARIABLE}={text!r} has to be a positive number of pixels')
    limit = int(text)
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow has a limit of its own
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, limit)
    return limit


def read_image_bytes(
    path: str | os.PathLike, kind: str = 'image', backend_args: dict | None = None
) -> bytes:
    """Read an image file, which is never much larger than its pixels; see :func:`.read_bytes`."""
    return read_bytes(path, 8 * max_pixels() + (1 << 20), kind, backend_args)


def open_image(
    content: bytes,
    path: str | os.PathLike,
    kind: str = 'image',
    formats: tuple[str, ...] = FORMATS,
) -> Image.Image:
    """Open an image without decoding it.

    Args:
        content: The file.
        path: Its name, for the error messages.
        kind: What it is.
        formats: Which of :data:`FORMATS` it may have.

    Returns:
        An image of Pillow, not yet loaded. Decoding it may still fail.

    Raises:
        ValueError: If it is empty, no image of these formats, has more than :func:`max_pixels`
            pixels, or is animated: which of its pictures is meant nobody knows.
    """
    if not content:
        raise ValueError(f'{kind} {path} is empty; replace the file')
    limit = max_pixels()
    try:
        _check_pixels(_webp_size(content), limit)
        image = Image.open(io.BytesIO(content), formats=formats)
        _check_pixels(image.size, limit)
        if image.format in ('JPEG', 'MPO') and content.count(b'\xff\xda') > MAX_SCANS:
            raise ValueError(f'more than {MAX_SCANS} scans; save it anew')
        # MPO is a JPEG with further views behind it, as cameras make them
        if image.format != 'MPO' and getattr(image, 'is_animated', False):
            raise ValueError('it is animated; save the one picture that is meant')
    except Exception as error:  # Pillow has errors of its own for every kind of damage
        raise _unreadable(kind, path, error) from error
    return image


def decode_image(
    content: bytes, path: str | os.PathLike, upright: bool = True, rgb: bool = True
) -> np.ndarray:
    """Decode an image of any kind to 8-bit colours, the last pixel included.

    Grey, palette and CMYK images become RGB. Of 16 bits the upper 8 are taken. Transparency
    is dropped, and of grey images laid on a grey ground, as mmcv does.

    Args:
        content: The file.
        path: Its name, for the error messages.
        upright: Whether to turn a photograph whose EXIF data say that it lies on its side.
        rgb: Order of the channels; BGR if False.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: If it cannot be decoded completely; see :func:`open_image` too.
    """
    with open_image(content, path) as image:
        try:
            if upright and image.getexif().get(_ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
            pixels = _to_rgb(image)
        except Exception as error:
            raise _unreadable('image', path, error) from error
    return pixels if rgb else pixels[:, :, ::-1]


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read and decode an image as the pipelines do, uint8 RGB (H, W, 3).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be decoded; see :func:`decode_image`.
    """
    return decode_image(read_image_bytes(path), path)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith('I'):  # Pillow would call everything above 255 white
        grey = (np.array(image) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == 'LA':
        canvas = Image.new('RGB', image.size, _CANVAS)
        canvas.paste(image.convert('RGBA'), mask=image.getchannel('A'))
        return np.array(canvas)
    return np.array(image if image.mode == 'RGB' else image.convert('RGB'))


def _check_pixels(size: tuple[int, int], limit: int) -> None:
    width, height = size
    if width * height > limit:
        raise ValueError(
            f'{width} x {height} pixels are more than the limit of {limit:,}; make it smaller, or '
            f'set {LIMIT_VARIABLE}'
        )


def _webp_size(content: bytes) -> tuple[int, int]:
    """Canvas of a WebP file, for which Pillow makes room when it opens it; else (0, 0)."""
    if content[:4] != b'RIFF' or content[8:12] != b'WEBP':
        return 0, 0
    kind, head = content[12:16], content[20:30].ljust(10, b'\0')
    if kind == b'VP8X':
        return int.from_bytes(head[4:7], 'little') + 1, int.from_bytes(head[7:10], 'little') + 1
    if kind == b'VP8L':
        bits = int.from_bytes(head[1:5], 'little')
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[6:8], 'little') & 0x3FFF, int.from_bytes(head[8:], 'little') & 0x3FFF


def _unreadable(kind: str, path: str | os.PathLike, error: Exception) -> ValueError:
    if isinstance(error, Image.UnidentifiedImageError):  # its text names a buffer
        error = ValueError('the beginning of the file is not that of an image')
    return ValueError(f'{kind} {path} cannot be read ({error}); replace the file')
