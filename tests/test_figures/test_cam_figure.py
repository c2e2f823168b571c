"""CAM grids: the function, and the tool on photos without a data set."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from run_tool import run_tool

from semples_mmseg.figures import draw_cams, overlay_cam
from semples_mmseg.figures.rows import Photo, choose_rows, read_photos
from semples_mmseg.utils.classes import read_classes


def cams_tool(folder, *arguments, checkpoints=('match.pth', 'refine.pth')):
    files = [folder / name for name in checkpoints]
    return run_tool('visualize.py', 'cams', folder / 'cfg.py', *files, *arguments)


def test_columns_are_image_mask_and_checkpoints():
    image = np.full((40, 40, 3), 90, np.uint8)
    cams = [np.stack([np.zeros((40, 40)), np.ones((40, 40))])]
    mask, palette = np.ones((40, 40), np.uint8), [[0, 0, 0], [200, 0, 0]]
    both = {'highest': cams, 'first': [cams[0][:1]]}
    picture = np.asarray(draw_cams([image], both, [mask], palette, ['row'], cell=40))
    seen = picture[-20, [4 + 44 * column + 20 for column in range(1, 5)]]
    high, low = overlay_cam(image, cams[0]), overlay_cam(image, cams[0][0])
    np.testing.assert_array_equal(seen, [[90] * 3, [200, 0, 0], high[0, 0], low[0, 0]])
    without = draw_cams([image], {'a': cams}, [None], cell=40)
    assert without.width == 4 + 2 * 44


def test_rows_are_photos_or_pairs_of_photo_and_class():
    classes = read_classes(['cat', 'dog', 'tvmonitor|tv monitor'])
    photos = [Photo('a.png', (0, 2)), Photo('b.png', (2,))]

    def chosen(*arguments):
        return [(row.classes, row.title) for row in choose_rows(photos, classes, *arguments)]

    assert chosen() == [((0, 2), 'a\ncat, tvmonitor'), ((2,), 'b\ntvmonitor')]
    assert [row for row, _ in chosen((), True)] == [(0,), (2,), (2,)]
    assert [row for row, _ in chosen(['tvmonitor'])] == [(2,), (2,)]
    with pytest.raises(ValueError, match='b.png shows none of cat'):
        chosen(['cat'])


def test_the_tool_draws_photos_by_path(tiny_run):
    images = ['--images', tiny_run / 'a.png', tiny_run / 'b.png']
    out = tiny_run / 'out' / 'grid.png'
    cams_tool(tiny_run, *images, '--tags', 'cat,dog', 'dog', '--out', out, '--per-class')
    assert Image.open(out).width == 4 + 4 * 164  # titles of rows, image, two checkpoints
    before = np.asarray(Image.open(out))
    assert not np.array_equal(before[60:150, 340:480], before[60:150, 504:644])
    cams_tool(tiny_run, *images, '--tags', 'dog', '--out', out, '--labels', 'one', 'two')
    assert Image.open(out).height < before.shape[0]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--tags', 'cat,cow'], "--tags of .*a.png: unknown class 'cow'"),
        (['--tags', 'cat', '--classes', 'cap'], "--classes: unknown class 'cap'; did you mean"),
        ([], '--tags has 0 .* for 1 image files'),
        (['--tags', 'cat', '--masks', 'x.png', 'y.png'], '--masks 2 entries for 1 image'),
    ],
)
def test_wrong_arguments_are_named(tiny_run, arguments, message):
    out = tiny_run / 'grid.png'
    with pytest.raises(ValueError, match=message):
        cams_tool(tiny_run, '--images', tiny_run / 'a.png', *arguments, '--out', out)
    assert not out.exists()


def test_wrong_files_are_named(tiny_run):
    tags = ['--tags', 'cat', '--out', tiny_run / 'grid.png']
    (tiny_run / 'broken.jpg').write_bytes((tiny_run / 'a.png').read_bytes()[:300])
    with pytest.raises(ValueError, match='image .*broken.jpg cannot be read'):
        cams_tool(tiny_run, '--images', tiny_run / 'broken.jpg', *tags)
    with pytest.raises(FileNotFoundError, match='c.png is no image file'):
        cams_tool(tiny_run, '--images', tiny_run / 'a.png', 'c.png', *tags)
    with pytest.raises(FileNotFoundError, match='no.pth'):
        cams_tool(tiny_run, '--images', tiny_run / 'a.png', *tags, checkpoints=['no.pth'])


def test_image_ids_bring_tags_and_masks_of_the_test_data(tiny_run, make_voc_tree):
    root = make_voc_tree({'x': ['cat', 'dog'], 'y': []})
    data = dict(
        type='WeakVOCDataset',
        data_root=str(root),
        ann_file='ImageSets/Segmentation/train.txt',
        class_names=['aeroplane', 'cat', 'dog'],
        label_file='labels.json',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        pipeline=[dict(type='LoadCheckedImage')],
        test_mode=True,
    )
    model = dict(class_names=data['class_names'])
    config = Config(dict(model=model, test_dataloader=dict(dataset=data)))
    file, by_id = read_photos(config, [str(tiny_run / 'a.png'), 'x'], [['dog']])
    assert (file.classes, file.mask()) == ((2,), None)
    assert by_id.classes == (1, 2)
    mask = by_id.mask()
    assert mask is not None and mask.shape == by_id.image().shape[:2] and mask.any()
    with pytest.raises(FileNotFoundError, match='z is neither an image file nor an image id'):
        read_photos(config, ['z'])
    with pytest.raises(ValueError, match='y.jpg shows none of'):
        choose_rows(read_photos(config, ['y']), read_classes(data['class_names']))
