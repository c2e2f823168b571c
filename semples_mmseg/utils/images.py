"""Reading photos with Pillow: complete or not at all, and every error names the file."""

import contextlib
import functools
import io
import os

import numpy as np
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from .errors import Refusal
from .files import read_bytes

LIMIT_VARIABLE = 'SEMPLES_MAX_PIXELS'
DEFAULT_MAX_PIXELS = 89_478_485
"""Pillow's own limit, a quarter of a gigabyte of RGB."""

_FORMATS = ('JPEG', 'PNG', 'TIFF', 'WEBP', 'BMP', 'GIF', 'JPEG2000', 'AVIF', 'PPM', 'HEIF')
_SUFFIXES = (
    *('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.tif', '.tiff', '.webp', '.bmp', '.gif'),
    *('.jp2', '.j2k', '.ppm', '.pgm', '.pbm', '.pnm', '.avif', '.heic', '.heif'),
)
PHOTO_SUFFIXES = (*_SUFFIXES, *(suffix.upper() for suffix in _SUFFIXES))
"""Usual suffixes of photos, in lower and in upper case."""

_SUBFILE_TYPE = 254  # TIFF tag; its lowest bit marks a copy of reduced size
_CANVAS = (124, 117, 104)

# Pillow refuses a text of a megabyte in a PNG; its bound of all texts together (64) stays.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


@functools.cache
def photo_formats() -> tuple[str, ...]:
    """Formats of photos that can be read here; not PostScript: Pillow starts Ghostscript for it."""
    with contextlib.suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def max_pixels() -> int:
    """Largest number of pixels of an image or mask; ``SEMPLES_MAX_PIXELS`` changes it."""
    text = os.environ.get(LIMIT_VARIABLE, '')
    if not text:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or not int(text):
        raise Refusal(f'{LIMIT_VARIABLE}={text!r} has to be a positive number of pixels')
    limit = int(text)
    if Image.MAX_IMAGE_PIXELS is not None:  # Pillow checks its own limit first
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, limit)
    return limit


def open_image(
    content: bytes,
    path: str | os.PathLike,
    kind: str = 'image',
    formats: tuple[str, ...] | None = None,
) -> Image.Image:
    """Open an image without decoding it, which may still fail.

    Refused are empty files, other formats (``photo_formats`` by default), more than ``max_pixels``
    pixels, and several pictures (an animation, a TIFF of several pages).
    """
    if not content:
        raise Refusal(f'{kind} {path} is empty; replace the file')
    limit = max_pixels()
    try:
        image = Image.open(io.BytesIO(content), formats=formats or photo_formats())
        width, height = image.size
        if width * height > limit:
            raise Refusal(
                f'{width} x {height} pixels are more than the limit of {limit:,}; make it smaller, '
                f'or set {LIMIT_VARIABLE}'
            )
        if _several_pictures(image):
            raise Refusal('it holds several pictures (animation or pages); save the one meant')
    except Exception as error:  # Pillow raises many types for damaged files
        if isinstance(error, Image.UnidentifiedImageError):  # its message names a buffer
            error = ValueError(f'its content is not {", ".join(formats or _FORMATS)}')
            if content[4:8] == b'ftyp' and 'HEIF' not in photo_formats():
                error = ValueError('HEIC photos need the package pillow-heif')
        raise _unreadable(kind, path, error) from error
    return image


def decode_image(
    content: bytes, path: str | os.PathLike, upright: bool = True, least_side: int | None = None
) -> np.ndarray:
    """Decode a complete image to 8-bit RGB, uint8 (H, W, 3), ``upright`` by its EXIF orientation.

    The upper 8 of 16 bits are kept. Transparency is dropped; grey images with transparency are put
    on a grey background, as in MMCV. Damaged metadata are ignored. With ``least_side`` a large
    JPEG is decoded at a half, a quarter or an eighth of its size, both sides at least that many
    pixels.
    """
    with open_image(content, path) as image:
        try:
            if least_side:
                image.draft(None, (least_side, least_side))
            image.load()
            if upright:
                with contextlib.suppress(Exception):  # unreadable EXIF data: leave it as it is
                    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:  # else it is copied
                        image = ImageOps.exif_transpose(image)
            return _to_rgb(image)
        except Exception as error:
            raise _unreadable('image', path, error) from error


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read and decode an image as the pipelines do, uint8 RGB (H, W, 3); see ``decode_image``."""
    return decode_image(read_bytes(path, 'image'), path)


def photo_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of what ``read_image`` gives; pixels are not decoded."""
    with open_image(read_bytes(path, 'image'), path) as image:
        width, height = image.size
        with contextlib.suppress(Exception):  # unreadable EXIF data
            if image.getexif().get(0x112, 1) > 4:  # its orientation: on its side
                return width, height
        return height, width


def photo_pixels(photo: str | os.PathLike | np.ndarray) -> np.ndarray:
    """The pixels of a photo that is given as a path or an array, uint8 RGB (H, W, 3)."""
    if not isinstance(photo, np.ndarray):
        return read_image(photo)
    if photo.dtype != np.uint8 or photo.shape[2:] != (3,) or not photo.size:
        raise Refusal(
            f'a photo is a path or an array uint8 (H, W, 3) in RGB, got {photo.dtype} {photo.shape}'
        )
    return photo


def _several_pictures(image: Image.Image) -> bool:
    """Whether an image is an animation or a document; views of cameras, smaller copies are not."""
    if image.format in ('MPO', 'HEIF') or not getattr(image, 'is_animated', False):
        return False
    if image.format != 'TIFF':
        return True
    smaller = []
    for page in range(1, image.n_frames):  # type: ignore[attr-defined]
        image.seek(page)
        smaller.append(image.tag_v2.get(_SUBFILE_TYPE, 0) & 1)  # type: ignore[attr-defined]
    image.seek(0)
    return not all(smaller)


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith('I'):  # 16-bit grey; Pillow clips everything above 255
        grey = np.array(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise Refusal('its greys exceed 16 bits; convert it to 8 bits')
        return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == 'F':
        raise Refusal('its greys are floating-point numbers; convert it to 8 bits')
    if image.mode == 'LA':
        canvas = Image.new('RGB', image.size, _CANVAS)
        canvas.paste(image.convert('RGBA'), mask=image.getchannel('A'))
        return np.array(canvas)
    return np.array(image if image.mode == 'RGB' else image.convert('RGB'))


def _unreadable(kind: str, path: str | os.PathLike, error: Exception) -> Refusal:
    return Refusal(f'{kind} {path} cannot be read ({error}); replace the file')
