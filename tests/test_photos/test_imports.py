"""``semples-mmseg import``: masks of label tools come back, pixel by pixel, to their photos."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw
from pycocotools import mask as coco_mask
from scipy import ndimage
from test_exports import CLASSES, draw

from semples_mmseg.cli.main import main
from semples_mmseg.photos.exports.json_formats import encode_brush
from semples_mmseg.photos.exports.writing import labelled_run, write_masks
from semples_mmseg.photos.imports.shapes import decode_brush
from semples_mmseg.photos.imports.writing import import_masks, undo_imports
from semples_mmseg.photos.run import Run
from semples_mmseg.utils.label_png import read_mask, write_mask

PHOTOS = {'a.jpg': 'a', 'sub/a.jpg': 'sub/a', 'sub/b.png': 'sub/b'}


def edited():
    """Masks of ``draw`` after work in a label tool; the last one is as it was."""
    masks = draw()
    masks['a.jpg'][32:36, 2:9] = 2
    masks['sub/a.jpg'][3:9, :4] = 0
    return masks


@pytest.fixture
def run(tmp_path):
    """A finished run as far as an import looks at it; the first photo lies on its side."""
    run = Run(tmp_path / 'run')
    for name, mask in draw().items():
        photo, size, exif = tmp_path / 'photos' / name, mask.shape[::-1], Image.Exif()
        photo.parent.mkdir(parents=True, exist_ok=True)
        if name == 'a.jpg':
            size, exif[ExifTags.Base.Orientation] = mask.shape, 6
        Image.new('RGB', size).save(photo, exif=exif)
        write_mask(run.masks / f'{PHOTOS[name]}.png', mask)
    about = dict(version='0', photos=str(tmp_path / 'photos'), form='CSV', fit={}, sizes={})
    settings = dict(classes=[*CLASSES[1:]], labels=dict.fromkeys(PHOTOS.values(), [CLASSES[1]]))
    inputs = {f'photos/{name}': tmp_path / 'photos' / name for name in PHOTOS}
    run.record().begin('run', settings, inputs, **about)
    return run


def exported(run, format, out, masks=None):
    """Masks, by default those of the run, as a label tool would give them back."""
    labelled = labelled_run(run)
    if masks:
        labelled = replace(labelled, masks=out.parent / 'edited')
        for name, mask in masks.items():
            write_mask(labelled.masks / f'{PHOTOS[name]}.png', mask)
    if format == 'png':
        return labelled.masks
    write_masks(labelled, format.split()[0], out, split=format == 'coco split')
    return out


def corrected(run):
    """Corrected masks by photo."""
    found = {photo: run.corrected / f'{name}.png' for photo, name in PHOTOS.items()}
    return {photo: read_mask(file) for photo, file in found.items() if file.is_file()}


FORMATS = {
    'coco': 'COCO', 'coco split': 'COCO', 'labelme': 'labelme', 'cvat': 'VOC',
    'labelstudio': 'Label Studio', 'voc': 'VOC', 'yolo': 'YOLO', 'png': 'PNG',
}  # fmt: skip


@pytest.mark.parametrize('format', FORMATS)
def test_there_and_back(run, tmp_path, format):
    source = exported(run, format, tmp_path / 'out.json')
    assert '0 corrected masks, 3 as fit made them' in import_masks(run.folder, source)[-1]
    source = exported(run, format, tmp_path / 'out2.json', edited())
    assert '2 corrected masks, 1 as fit made them' in import_masks(run.folder, source)[-1]
    found = corrected(run)
    assert found.keys() == {'a.jpg', 'sub/a.jpg'} == {f'{name}.jpg' for name in run.made_by_hand()}
    for name, mask in found.items():
        expected = edited()[name]
        if format == 'yolo':
            for index in (1, 2):
                whole = ndimage.binary_fill_holes(expected == index)
                assert ((mask == index) & whole).sum() >= 0.99 * ((mask == index) | whole).sum()
        else:
            known = expected if format in ('voc', 'png') else np.where(expected == 255, 0, expected)
            np.testing.assert_array_equal(mask, known)
    record = run.record()
    assert import_masks(run.folder, source)[-1].startswith(FORMATS[format])
    again = run.record()  # the same but for the times of the files
    assert [stamp[2] for stamp in again['corrected'].outputs.values()] == [
        stamp[2] for stamp in record['corrected'].outputs.values()
    ]
    assert again['corrected'].about == record['corrected'].about


def write(path, content):
    """Write a text, or JSON, or an archive of texts by name."""
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
            for name, text in content.items():
                archive.writestr(name, text)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def coco(*segmentations, name='a.jpg', size=(40, 60), **more):
    """A COCO file of one picture; categories are the two classes and one that is unknown."""
    names = [*CLASSES[1:], 'Tree']
    return more | dict(
        images=[dict(id=1, file_name=name, height=size[0], width=size[1])],
        categories=[dict(id=number, name=name) for number, name in enumerate(names, 1)],
        annotations=[
            dict(image_id=1, category_id=number, segmentation=one) for number, one in segmentations
        ],
    )


def square(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def test_names_find_their_photos(run, tmp_path):
    for name, photo in {
        'a.jpg': 'a', 'x/photos/a.jpg': 'a', 'C:\\x\\A.JPG': 'a', '/data/local-files/?d=a.jpg': 'a',
        'sub__a.jpg': 'sub/a', 'sub/a.jpg': 'sub/a', 'images/sub/a.png': 'sub/a', 'b': 'sub/b',
        '/data/upload/1/ab12cd34-b.jpg': 'sub/b', 'b_png.rf.0123456789abcdef.jpg': 'sub/b',
    }.items():  # fmt: skip
        size = read_mask(run.masks / f'{photo}.png').shape
        content = coco((1, [square(1, 1, 4, 4)]), name=name, size=size)
        import_masks(run.folder, write(tmp_path / 'x.json', content))
        assert [*run.made_by_hand()] == [photo], name
        undo_imports(run.folder)
    with pytest.raises(ValueError, match=r'no mask of a photo.*c/\\x1b\[31m\\nd\.jpg'):
        import_masks(run.folder, write(tmp_path / 'x.json', coco(name='c/\x1b[31m\nd.jpg')))


LS = dict(contributor='Label Studio')
FINDINGS = [
    ('unknown classes', coco((3, [square(1, 1, 9, 9)])), {(2, 2): 255}, "did you mean 'tree'"),
    ('over one another', coco((2, [square(1, 1, 9, 9)]), (1, [square(0, 0, 20, 20)])),
     {(2, 2): 2, (15, 15): 1}, 'a.jpg'),
    ('holes', coco((1, [square(31, 0, 50, 9), square(35, 4, 40, 6)])), {(5, 36): 1}, 'a.jpg'),
    ('holes', coco((1, [square(5, 5, 30, 30)])), {(15, 15): 1}, 'a.jpg'),
    ('no mask or polygon', coco((1, [square(0, 0, 9, 9)]), (1, [])), {(2, 2): 1}, 'a box of'),
    ('another size', coco((1, [square(0, 0, 40, 40)]), size=(80, 120)),
     {(19, 19): 1, (21, 21): 0}, '120 x 80'),
    # Drawn on the photo as stored; its lower left corner is the upper left one of the photo.
    ('EXIF', coco((1, [square(0, 50, 10, 60)]), size=(60, 40)), {(0, 0): 1, (39, 0): 0}, '40 x 60'),
    # Label Studio's COCO of the same photo: upright outlines, with the size of the stored photo.
    ('EXIF', coco((1, [square(0, 0, 20, 30)]), size=(60, 40), info=LS),
     {(0, 0): 1, (19, 29): 1, (21, 0): 0, (0, 31): 0}, '40 x 60'),
    ('left out if not alike', coco((1, [square(0, 0, 9, 9)]), size=(50, 60)), {}, '60 x 50'),
    ('without any region', coco(), {}, 'a.jpg'),
]  # fmt: skip


@pytest.mark.parametrize(('kind', 'content', 'pixels', 'example'), FINDINGS)
def test_findings_are_one_line_with_count_and_example(
    run, tmp_path, kind, content, pixels, example
):
    source = tmp_path / 'files'
    source.mkdir()
    write(source / 'x.json', content)
    write(source / 'y.json', coco((1, [square(1, 1, 4, 4)]), name='b', size=(7, 5)))
    (line,) = [line for line in import_masks(run.folder, source)[:-1] if kind in line]
    assert ': 1, first: ' in line and example in line
    assert ('a' in run.made_by_hand()) == bool(pixels)
    for place, value in pixels.items():
        assert corrected(run)['a.jpg'][place] == value


def test_shapes_have_the_pixels_that_their_tools_give_them(run, tmp_path):
    points = [(3.2, 4.1), (30.7, 8.5), (20.4, 33.9)]
    drawn = Image.new('1', (60, 40))
    ImageDraw.Draw(drawn).polygon(points, fill=1, outline=1)  # as labelme does
    by_coco = coco_mask.decode(coco_mask.frPyObjects([np.ravel(points).tolist()], 40, 60))[..., 0]
    shape = dict(label='tree', points=points, shape_type='polygon')
    labelme = dict(imagePath='a.jpg', imageHeight=40, imageWidth=60, shapes=[shape])
    texts = ';'.join(f'{x},{y}' for x, y in points)
    xml = f"""<annotations><image name="a.jpg" height="40" width="60">
      <mask label="tree" left="50" top="2" width="3" height="2" rle="1, 3, 2" z_order="1"/>
      <polygon label="tree" points="{texts}" z_order="0"/><tag label="tree"/>
      </image></annotations>"""
    with_mask = by_coco.copy()
    with_mask[2, 51:53] = with_mask[3, 50] = 1
    shares = [[100 * x / 60, 100 * y / 40] for x, y in points]
    results = [
        BRUSH | dict(type='polygonlabels', value=dict(points=shares, polygonlabels=['tree'])),
        BRUSH | dict(value=dict(rle=[0], format='rle')),  # a part without the name of its class
    ]
    task = dict(data=dict(n='x', image='a.jpg'), annotations=[dict(result=results)])
    task['annotations'] += [dict(result=[], was_cancelled=True)]
    for name, content, expected in (
        ('a.json', labelme, np.array(drawn)),
        ('x.zip', {'annotations.xml': xml}, with_mask),
        ('x.json', [task], by_coco),
    ):
        import_masks(run.folder, write(tmp_path / name, content))
        np.testing.assert_array_equal(corrected(run)['a.jpg'] == 2, expected > 0, name)


def test_a_brush_of_any_runs(run, tmp_path):
    """Label Studio writes bytes that differ one by one, too; a pixel counts by its alpha."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (7, 5, 4), np.uint8)
    values[::2, :, 3] = 0
    bits = f'{values.size:032b}{7:05b}' + ''.join(f'{n - 1:04b}' for n in (3, 4, 8, 16))
    bits += f'010{values.size - 101:08b}' + ''.join(f'{v:08b}' for v in values.ravel()[:-100])
    bits += ''.join(f'001{0:04b}{v:08b}' for v in values.ravel()[-100:])
    bits += '0' * (-len(bits) % 8)
    code = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    np.testing.assert_array_equal(decode_brush(code, (7, 5)), values[..., 3] > 0)


def test_palettes_that_a_program_has_sorted_and_colours(run, tmp_path):
    mask = edited()['a.jpg']
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [224, 224, 192]], np.uint8)
    order = np.array([2, 0, 1, 3])
    resorted = Image.fromarray(order[np.minimum(mask, 3)].astype(np.uint8))
    resorted.putpalette(colours[[1, 2, 0, 3]].ravel().tolist())
    (tmp_path / 'png').mkdir()
    for picture in (resorted, Image.fromarray(colours[np.minimum(mask, 3)])):
        picture.save(tmp_path / 'png/a.png')
        import_masks(run.folder, tmp_path / 'png')
        np.testing.assert_array_equal(corrected(run)['a.jpg'], mask)
        undo_imports(run.folder)


def yolo(line='0 0 0 1 1 0 1', names='[x]'):
    return {'labels/a.txt': line, 'd.yaml': f'names: {names}'}


STREAM = io.BytesIO()
Image.new('L', (60, 40)).save(STREAM, 'PNG')
PNG = STREAM.getvalue()
BRUSH = dict(original_width=60, original_height=40, type='brushlabels')
LONG = dict(brushlabels=['tree'], rle=encode_brush(np.ones((40, 61), bool)))


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('x.json', '{"shapes": [', r'x\.json is not a JSON'),
        ('x.json', dict(shapes=[]), r'x\.json is damaged.*imagePath'),
        ('x.json', [1, 2], 'no masks of a known form'),
        ('x.json', coco((9, [])), r'x\.json is damaged'),
        ('x.json', coco((1, [[1e30, 1, 1e30, 2, 5, 5]])), r"image 'a\.jpg'.*far"),
        ('x.json', coco((1, dict(size=[40, 60], counts=[2400, 9]))), r'a\.jpg.*run lengths'),
        (
            'x.json',
            [dict(data=dict(image='a.jpg'), predictions=[dict(result=[BRUSH | dict(value=LONG)])])],
            'task 1 is damaged.*brush',
        ),
        ('x.xml', '<!DOCTYPE x [<!ENTITY a "aa">]><annotations>&a;</annotations>', 'entities'),
        ('x.xml', '<annotations><track/></annotations>', 'CVAT for video'),
        ('x.zip', {'labels/a.txt': '0 0 0 1 1 0 1'}, r'no data\.yaml'),
        ('x.zip', {'labels/a.txt': '7 0 0 1 1 0 1', 'd.yaml': 'names: [x]'}, r'a\.txt is damaged'),
        ('x.zip', yolo('0 nan 0 1 1 0 1'), r'a\.txt is damaged'),  # OpenCV would draw for hours
        ('x.zip', yolo(names='!!python/object/apply:os.getcwd []'), r'd\.yaml is damaged'),
        ('x.zip', yolo(names='[&a [x, x], [*a, *a]]'), r'd\.yaml is damaged'),  # a bomb
        ('x.zip', {'SegmentationClass/a.png': 'no picture'}, r'a\.png cannot be read'),
        ('x.zip', {'SegmentationClass/a.png': PNG[:60]}, r'a\.png is damaged'),
        ('none', None, 'no file or folder'),
    ],
)
def test_damaged_sources_are_one_line_and_nothing_is_written(run, tmp_path, name, content, message):
    if content is not None:
        write(tmp_path / name, content)
    before = {*run.folder.rglob('*')}
    with pytest.raises(ValueError, match=message) as error:
        import_masks(run.folder, tmp_path / name)
    assert '\n' not in str(error.value)
    assert {*run.folder.rglob('*')} - before <= {run.folder / '.lock'}


def test_an_archive_is_never_unpacked(run, tmp_path, monkeypatch):
    source = exported(run, 'cvat', tmp_path / 'm.zip', edited())
    with zipfile.ZipFile(source, 'a') as archive:
        archive.writestr('../../evil.png', 'x')
        archive.writestr('__MACOSX/SegmentationClass/._a.png', 'x')
    import_masks(run.folder, source)
    assert len(run.made_by_hand()) == 2 and not [*tmp_path.parent.glob('evil*')]
    monkeypatch.setattr('semples_mmseg.photos.imports.sources._LARGEST', 10)
    with pytest.raises(ValueError, match='very large'):
        import_masks(run.folder, source)


def test_later_masks_win_and_masks_as_they_were_are_taken_back(run, tmp_path):
    import_masks(run.folder, exported(run, 'coco', tmp_path / 'one.json', edited()))
    record = run.record()  # an import that was stopped has begun, but not finished
    record.begin('corrected', {}, {}, anew=True, masks=record['corrected'].about['masks'])
    later = draw() | {'sub/b.png': np.ones((7, 5), np.uint8)}
    source = exported(run, 'coco', tmp_path / 'two.json', later)
    content = json.loads(source.read_text())
    content['images'] = [one for one in content['images'] if one['file_name'] != 'a.jpg']
    import_masks(run.folder, write(source, content))
    assert [*run.made_by_hand()] == ['a', 'sub/b'] and len(corrected(run)) == 2
    assert run.made_by_hand()['sub/b'] == 1
    assert run.record().state('corrected', {}, {}) == 'complete'
    write_mask(run.corrected / 'a.png', draw()['a.jpg'])
    with pytest.raises(ValueError, match=r'a\.png was changed.*--undo'):
        import_masks(run.folder, source)
    assert undo_imports(run.folder) == 2 and undo_imports(run.folder) == 0
    assert not run.corrected.exists() and 'corrected' not in run.record()
    for name, mask in draw().items():  # never touched
        np.testing.assert_array_equal(read_mask(run.masks / f'{PHOTOS[name]}.png'), mask)


def test_the_command(run, tmp_path, capsys):
    source = write(tmp_path / 'x.json', coco((3, [square(1, 1, 9, 9)])))

    def command(*words):
        with pytest.raises(SystemExit) as end:
            main(['import', str(run.folder), *map(str, words)])
        return end.value.code, capsys.readouterr()

    code, shown = command(source, '--map', 'Tree=tree')
    assert code == 0 and 'unknown' not in shown.out and 'retrain' in shown.out
    assert corrected(run)['a.jpg'][2, 2] == 2
    for words, message in (
        ((source, '--map', 'Tree=tre'), "--map: unknown class 'tre'"),
        ((), '--undo'),
        ((source, '--undo'), '--undo'),
    ):
        code, shown = command(*words)
        assert code == 2 and message in shown.err
    code, shown = command('--undo')
    assert code == 0 and 'removed: 1' in shown.out and not run.corrected.exists()
    assert command(write(tmp_path / 'y.json', coco()), '--empty')[0] == 0
    assert not corrected(run)['a.jpg'].any()
