"""Photos and masks of all kinds: which are read, and as what."""

import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmseg.registry import TRANSFORMS
from PIL import Image, TiffImagePlugin

from semples_mmseg.datasets.transforms import (
    LoadCheckedAnnotations,
    LoadCheckedImage,
    with_checked_loader,
)
from semples_mmseg.utils.images import LIMIT_VARIABLE, decode_image, photo_formats, read_image
from semples_mmseg.utils.label_png import write_mask

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
GREY16 = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    'mode, kind',
    [
        *[(mode, 'PNG') for mode in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA')],
        *[(mode, 'JPEG') for mode in ('L', 'RGB', 'CMYK')],
        *[(mode, 'TIFF') for mode in ('1', 'P', 'RGBA', 'CMYK')],
        *[('RGB', kind) for kind in ('BMP', 'WEBP', 'JPEG2000', 'AVIF', 'HEIF', 'PPM')],
        ('P', 'GIF'),
    ],
)
def test_pixels_are_those_of_mmcv(mode, kind):
    if kind not in photo_formats():
        pytest.skip(f'this Pillow has no {kind}')
    image = Image.fromarray(PIXELS)
    image = image.convert('RGBA').convert(mode) if mode == 'LA' else image.convert(mode)
    content = encoded(image, kind)
    found = decode_image(content, 'x')[:, :, ::-1]
    assert found.shape == (20, 30, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found, mmcv.imfrombytes(content, backend='pillow'))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_photo_is_turned_upright(orientation, tmp_path):
    content = encoded(Image.fromarray(PIXELS), 'JPEG', exif=turned(orientation))
    (tmp_path / 'a.jpg').write_bytes(content)
    for colour in ('color', 'color_ignore_orientation'):
        load = LoadCheckedImage(color_type=colour)
        found = load.transform(dict(img_path=str(tmp_path / 'a.jpg')))['img']
        expected = mmcv.imfrombytes(content, flag=colour, backend='pillow')
        np.testing.assert_array_equal(found, expected)
    lies = orientation in (5, 6, 7, 8)
    assert read_image(tmp_path / 'a.jpg').shape == ((30, 20, 3) if lies else (20, 30, 3))


@pytest.mark.parametrize('mode', ['L', 'RGB', 'CMYK'])
@pytest.mark.parametrize('side, scale', [(1, 8), (40, 4), (41, 2), (80, 2), (81, 1), (None, 1)])
def test_large_jpegs_are_decoded_at_a_fraction(mode, side, scale, tmp_path):
    smooth = Image.fromarray(PIXELS).resize((320, 160), Image.Resampling.BICUBIC)
    content = encoded(smooth.convert(mode), 'JPEG', exif=turned(6))
    (tmp_path / 'a.jpg').write_bytes(content)
    found = LoadCheckedImage(least_side=side).transform(dict(img_path=str(tmp_path / 'a.jpg')))
    assert found['img'].shape == found['ori_shape'] + (3,) == (320 // scale, 160 // scale, 3)
    whole = Image.fromarray(read_image(tmp_path / 'a.jpg'))
    expected = np.asarray(whole.reduce(scale))[:, :, ::-1]
    assert np.abs(found['img'].astype(int) - expected).mean() < 3
    with pytest.raises(ValueError, match='cut'):
        decode_image(content[: len(content) // 2], 'cut', least_side=side)
    png = encoded(smooth, 'PNG')
    assert (decode_image(png, 'a', least_side=side) == np.asarray(smooth)).all()


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'PPM', 'JPEG2000'])
def test_of_16_bit_greys_the_upper_8_bits_are_kept(kind):
    found = decode_image(encoded(Image.fromarray(GREY16), kind), 'x')
    np.testing.assert_array_equal(found, np.repeat((GREY16 >> 8)[:, :, None], 3, axis=2))
    for dtype in (np.float32, np.int32):  # of unknown range
        with pytest.raises(ValueError, match='a.tif .*convert it to 8 bits'):
            decode_image(encoded(Image.fromarray(GREY16.astype(dtype) * 2), 'TIFF'), 'a.tif')


def png_with(kind, data):
    good = encoded(Image.fromarray(PIXELS), 'PNG')
    check = struct.pack('>I', zlib.crc32(kind + data))
    return good[:33] + struct.pack('>I', len(data)) + kind + data + check + good[33:]


def test_megabytes_of_text_are_no_reason_to_refuse_a_picture():
    long = b'a' * 3_000_000
    for kind, text in ((b'tEXt', long), (b'zTXt', b'\0' + zlib.compress(long))):
        np.testing.assert_array_equal(decode_image(png_with(kind, b'x\0' + text), 'x'), PIXELS)
    bomb = b'x\0\0' + zlib.compress(bytes(80_000_000))
    with pytest.raises(ValueError, match='x cannot be read'):
        decode_image(png_with(b'zTXt', bomb), 'x')


@pytest.mark.parametrize(
    'content',
    [
        png_with(b'eXIf', b'\0\x08\0\2\1\x12\0\3'),
        png_with(b'zTXt', b'Raw profile type exif\0\0' + zlib.compress(b'\nexif\n 4\n45786966\n')),
        encoded(Image.fromarray(PIXELS), 'PNG', exif=b'Exif\0\0II*\0\xff\xff\xff\xff'),
        encoded(Image.fromarray(PIXELS), 'WEBP', lossless=True, exif=b'Exif\0\0nonsense'),
    ],
)
def test_damaged_exif_data_do_not_refuse_a_picture(content):
    np.testing.assert_array_equal(decode_image(content, 'x'), PIXELS)


def test_smaller_copies_in_a_tiff_are_ignored():
    small = Image.fromarray(PIXELS[::2, ::2])
    for kind, refused in ((1, False), (0, True)):
        stream = io.BytesIO()
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[254] = kind
        small.encoderinfo = dict(tiffinfo=info)
        Image.fromarray(PIXELS).save(stream, 'TIFF', save_all=True, append_images=[small])
        if refused:
            with pytest.raises(ValueError, match='several pictures'):
                decode_image(stream.getvalue(), 'x')
        else:
            np.testing.assert_array_equal(decode_image(stream.getvalue(), 'x'), PIXELS)


def test_what_is_refused_is_named(tmp_path, monkeypatch):
    def started(*args, **kwargs):
        raise AssertionError('a process was started')

    monkeypatch.setattr(subprocess, 'Popen', started)  # Pillow starts Ghostscript for PostScript
    image = Image.fromarray(PIXELS)
    whole = encoded(image, 'JPEG')
    two = [Image.new('RGB', (8, 8), colour) for colour in ('red', 'blue')]
    several = [
        encoded(two[0], kind, save_all=True, append_images=two[1:])
        for kind in ('GIF', 'PNG', 'WEBP', 'TIFF')
    ]
    refused = {
        'is empty': [b''],
        'several pictures': several,
        'truncated': [whole[:-100], encoded(image, 'PPM')[:-100], encoded(image, 'BMP')[:-100]],
        'content is not JPEG': [
            b'text',
            b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments',
        ],
        'HEI[CF]': [b'\0\0\0\x18ftypheic\0\0\0\0mif1heic' + bytes(20)],
    }
    for words, contents in refused.items():
        for content in contents:
            (tmp_path / 'a.jpg').write_bytes(content)
            with pytest.raises(ValueError, match=f'image .*a.jpg .*{words}'):
                read_image(tmp_path / 'a.jpg')


def test_the_limit_of_pixels_can_be_set(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / 'a.png')
    monkeypatch.setenv(LIMIT_VARIABLE, '600')
    assert read_image(tmp_path / 'a.png').size == 1800
    monkeypatch.setenv(LIMIT_VARIABLE, '599')
    with pytest.raises(ValueError, match=f'a.png .*30 x 20 pixels .* set {LIMIT_VARIABLE}'):
        read_image(tmp_path / 'a.png')
    monkeypatch.setenv(LIMIT_VARIABLE, 'many')
    with pytest.raises(ValueError, match="'many' has to be a positive number"):
        read_image(tmp_path / 'a.png')


def test_pipes_folders_devices_and_circular_links_do_not_block(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    (tmp_path / 'device.jpg').symlink_to('/dev/zero')
    (tmp_path / 'circle.jpg').symlink_to('circle.jpg')
    for name in ('pipe', 'folder', 'device', 'circle'):
        with pytest.raises((ValueError, OSError), match=f'{name}.jpg'):
            read_image(tmp_path / f'{name}.jpg')


def test_the_loader_has_a_name_of_its_own():
    stock = dict(type='LoadImageFromFile', imdecode_backend='pillow')
    assert type(TRANSFORMS.build(stock)) is LoadImageFromFile
    assert 'LoadCheckedImage' not in MMENGINE_TRANSFORMS.module_dict
    checked, other, last = with_checked_loader([stock, dict(type='LoadImageFromFile'), len])
    assert isinstance(TRANSFORMS.build(checked), LoadCheckedImage)
    assert other == dict(type='LoadImageFromFile') and last is len
    for wrong in (dict(color_type='unchanged'), dict(imdecode_backend='cv2')):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LoadCheckedImage(**wrong)


def pictures():
    """One file of each kind that readers differ in: name and content."""
    image = Image.fromarray(PIXELS)
    colour16 = cv2.imencode('.png', PIXELS.astype(np.uint16) * 257)[1].tobytes()
    yield 'grey16.png', encoded(Image.fromarray(GREY16), 'PNG')
    yield 'grey16.tif', encoded(Image.fromarray(GREY16), 'TIFF')
    yield 'colour16.png', colour16
    yield 'cmyk.jpg', encoded(image.convert('CMYK'), 'JPEG')
    yield 'turned.jpg', encoded(image, 'JPEG', exif=turned(6))
    for mode in ('1', 'LA', 'P', 'RGBA'):
        shown = image.convert('RGBA').convert(mode) if mode == 'LA' else image.convert(mode)
        yield f'{mode}.png', encoded(shown, 'PNG')


@pytest.mark.parametrize(
    'config', ['semples/voc_refine', 'semples/coco_refine', 'segmenter/segmenter_demo']
)
def test_mmsegs_inferencers_read_what_the_data_sets_read(config, tmp_path, request):
    config = Config.fromfile(request.config.rootpath / f'configs/{config}.py')
    step = config.test_dataloader.dataset.pipeline[0]
    assert step['type'] == 'LoadImageFromFile'  # which MMSegInferencer looks for
    for name, content in pictures():
        path = str(tmp_path / name)
        Path(path).write_bytes(content)
        read = read_image(path)[..., ::-1]
        assert read.std() > 10
        for kind in ('LoadImageFromFile', 'InferencerLoader'):
            load = TRANSFORMS.build(dict(step, type=kind))
            np.testing.assert_array_equal(load(dict(img_path=path))['img'], read, name)


def load_mask(path, shape=(20, 30)):
    item = dict(seg_map_path=str(path), img_path='a.jpg', ori_shape=shape)
    return LoadCheckedAnnotations().transform(item)['gt_seg_map']


def test_a_mask_has_one_id_a_pixel_and_the_size_of_its_image(tmp_path):
    path, ids = tmp_path / 'a.png', PIXELS[..., 0]
    write_mask(path, ids)
    np.testing.assert_array_equal(load_mask(path), ids)
    Image.fromarray(ids).save(path)
    np.testing.assert_array_equal(load_mask(path), ids)
    with pytest.raises(ValueError, match=r'a.png .*a.jpg.*EXIF'):
        load_mask(path, (30, 20))
    with pytest.raises(ValueError, match='a.png .*mask of another image'):
        load_mask(path, (10, 10))
    for wrong in (ids.astype(np.uint16), PIXELS, ids > 100):
        Image.fromarray(wrong).save(path)
        with pytest.raises(ValueError, match='a.png is an image of mode .*expected 8-bit'):
            load_mask(path)
