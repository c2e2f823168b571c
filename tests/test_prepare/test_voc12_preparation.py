"""VOC made ready: the augmented list, masks from PNG or SBD, labels from XML or masks."""

import json
import shutil

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from PIL import Image
from run_tool import run_tool

from semples_mmseg.datasets import WeakVOCDataset
from semples_mmseg.prepare.voc12 import CLASSES, prepare_voc, read_sbd_mask
from semples_mmseg.utils.label_png import full_palette, read_mask, write_mask

LABELS = {
    '2007_000001': ['dog', 'person'],
    '2007_000002': ['tvmonitor'],
    '2008_000003': ['cat'],  # of the augmented set alone
    '2008_000004': ['aeroplane', 'bird'],  # val
}
TRAIN, VAL = ['2007_000001', '2007_000002'], ['2008_000004']
TRAIN_AUG = [*TRAIN, '2008_000003']


@pytest.fixture
def root(make_voc_tree):
    """A tiny VOC2012 with all masks, as the community passes it round."""
    root = make_voc_tree(LABELS)
    lists = root / 'ImageSets/Segmentation'
    (lists / 'train.txt').write_text('\n'.join(TRAIN) + '\n')
    (lists / 'val.txt').write_text('\n'.join(VAL) + '\n')
    (root / 'labels.json').unlink()
    return root


@pytest.fixture
def sbd(root):
    """The same set as VOC's and SBD's own downloads: MATLAB files for images VOC has no mask of."""
    aug, own = root / 'SegmentationClassAug', root / 'SegmentationClass'
    own.mkdir()
    release = root.parent / 'benchmark_RELEASE'
    (release / 'dataset/cls').mkdir(parents=True)
    for i in LABELS:
        label = read_mask(aug / f'{i}.png')
        save_sbd(release / f'dataset/cls/{i}.mat', np.where(label == 255, 0, label))
        if i in (*TRAIN, *VAL):
            shutil.move(aug / f'{i}.png', own)
    shutil.rmtree(aug)
    # SBD's split differs from VOC's: its lists hold images of VOC's val and train too.
    (release / 'dataset/train.txt').write_text('2008_000003\n2008_000004\n')
    (release / 'dataset/val.txt').write_text('2007_000001\n')
    return release


def save_sbd(path, label):
    """Write a class annotation with the fields, types and compression of the release."""
    boundaries = np.empty((20, 1), object)
    for k in range(20):
        boundaries[k, 0] = scipy.sparse.csc_matrix(label == k + 1)
    content = dict(
        Boundaries=boundaries,
        Segmentation=label.astype(np.uint8),
        CategoriesPresent=np.setdiff1d(label, [0])[:, None].astype(np.uint8),
    )
    scipy.io.savemat(path, dict(GTcls=content), do_compression=True)


def prepare(root, **options):
    return prepare_voc(root, **{**dict(subset=True, workers=1), **options})


def snapshot(root):
    files = (path for path in root.rglob('*') if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def read_list(root, split):
    return (root / f'ImageSets/Segmentation/{split}.txt').read_text().split()


def test_annotations_and_masks_as_they_are(root):
    (root / 'SegmentationClassAug/._2007_000001.png').write_bytes(b'of macOS')
    before = snapshot(root)
    done = prepare(root)
    assert done.counts == dict(train_aug=3, train=2, val=1)
    assert (done.masks_made, done.from_xml, done.from_masks) == (0, 4, [])
    assert read_list(root, 'train_aug') == TRAIN_AUG
    assert json.loads((root / 'image_labels.json').read_text()) == {
        i: sorted(names, key=CLASSES.index) for i, names in LABELS.items()
    }
    after = snapshot(root)
    assert {k: after[k] for k in before} == before
    assert set(map(str, done.written)) == set(after) - set(before)
    # what was written is what training reads, masks or not
    masks = {path.name: path.read_bytes() for path in (root / 'SegmentationClassAug').glob('2*')}
    elsewhere = shutil.move(root / 'SegmentationClassAug', root.parent / 'masks')
    split = 'ImageSets/Segmentation/train_aug.txt'
    dataset = WeakVOCDataset(split, 'image_labels.json', data_root=str(root))
    assert [dataset.get_data_info(i)['img_id'] for i in range(3)] == TRAIN_AUG
    # and masks of another folder are copied
    assert prepare(root, masks=elsewhere).masks_made == 4
    copies = (root / 'SegmentationClassAug').iterdir()
    assert {path.name: path.read_bytes() for path in copies} == masks


def test_sbd_release(root, sbd):
    own = {path.name: path.read_bytes() for path in (root / 'SegmentationClass').iterdir()}
    done = prepare(root, sbd=sbd)
    assert done.counts == dict(train_aug=3, train=2, val=1) and done.masks_made == 4
    assert read_list(root, 'train_aug') == TRAIN_AUG
    aug = root / 'SegmentationClassAug'
    made = {path.name: path.read_bytes() for path in aug.iterdir()}
    assert {name: made[name] for name in own} == own and len(made) == 4
    with Image.open(aug / '2008_000003.png') as image:
        assert image.mode == 'P' and image.getpalette() == full_palette()
        label = np.array(image)
    expected = scipy.io.loadmat(sbd / 'dataset/cls/2008_000003.mat')['GTcls'][0, 0]['Segmentation']
    assert np.array_equal(label, expected) and set(np.unique(label)) == {0, 8}


def test_a_stopped_run_is_continued(root, sbd):
    prepare(root, sbd=sbd)
    complete = {k: content for k, (_, content) in snapshot(root).items()}
    for name in ('SegmentationClassAug/2008_000003.png', 'image_labels.json'):
        (root / name).unlink()
    assert prepare(root, sbd=sbd / 'dataset').masks_made == 1
    before = snapshot(root)
    assert {k: content for k, (_, content) in before.items()} == complete
    again = prepare(root, sbd=sbd, workers=2)
    assert (again.masks_made, again.written) == (0, []) and snapshot(root) == before


@pytest.mark.parametrize('removed', [('2007_000001', '2008_000003'), tuple(LABELS)])
def test_labels_from_masks_without_annotations(root, removed):
    for i in removed:  # objects the mask does not show tell the two sources apart
        (root / f'Annotations/{i}.xml').unlink()
    for i in set(LABELS) - set(removed):
        text = '<annotation><object><name>sofa</name></object></annotation>'
        (root / f'Annotations/{i}.xml').write_text(text)
    done = prepare(root)
    assert done.from_masks == sorted(removed) and done.from_xml == 4 - len(removed)
    labels = json.loads((root / 'image_labels.json').read_text())
    assert labels == {
        i: sorted(LABELS[i], key=CLASSES.index) if i in removed else ['sofa'] for i in LABELS
    }


def stray_value(root):
    write_mask(root / 'SegmentationClassAug/2007_000002.png', np.full((4, 4), 77))


def invalid_chunk(root):
    path = root / 'SegmentationClassAug/2007_000002.png'
    write_mask(path, np.random.default_rng(0).integers(0, 21, (400, 400)))
    before, name, after = path.read_bytes().rpartition(b'IDAT')
    assert name in before  # only from the second chunk of pixels on Pillow has an error of its own
    path.write_bytes(before + b'I\x00AT' + after)


def unknown_class(root):
    text = '<annotation><object><name>persn</name></object></annotation>'
    (root / 'Annotations/2008_000003.xml').write_text(text)


def missing_images(root):
    for i in LABELS:
        (root / f'JPEGImages/{i}.jpg').unlink()


def missing_mask(root):
    (root / 'SegmentationClassAug/2008_000004.png').unlink()


def no_masks(root):
    shutil.rmtree(root / 'SegmentationClassAug')


def other_list(root):
    (root / 'ImageSets/Segmentation/train_aug.txt').write_text('2007_000001\n2009_000009\n')


def other_labels(root):
    (root / 'image_labels.json').write_text('{"2007_000001": ["dog"]}')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (stray_value, r'2007_000002.png: .*77'),
        (invalid_chunk, '2007_000002.png cannot be read'),
        (unknown_class, "2008_000003.xml: unknown class 'persn'; did you mean 'person'"),
        (missing_images, r'image missing: .*2007_000001.jpg, .*2008_000003.jpg, ... \(4 in all\)'),
        (missing_mask, 'mask missing: .*2008_000004.png'),
        (no_masks, r'no PNG masks in .*SegmentationClassAug.*\(--masks\).*\(--sbd\)'),
        (other_list, 'train_aug.txt.*2 lines there, 3 now, .*2007_000002, .*--overwrite'),
        (other_labels, 'image_labels.json.*--overwrite'),
    ],
)
def test_bad_input_is_named_and_nothing_written(root, damage, message):
    damage(root)
    before = snapshot(root)
    with pytest.raises((ValueError, OSError), match=message):
        prepare(root)
    assert snapshot(root) == before


def test_lists_are_overwritten_on_request_and_kept_in_another_order(root):
    other_list(root)
    other_labels(root)
    assert len(prepare(root, overwrite=True).written) == 2
    assert read_list(root, 'train_aug') == TRAIN_AUG
    (root / 'image_labels.json').unlink()
    path = root / 'ImageSets/Segmentation/train_aug.txt'
    path.write_text('\n'.join(reversed(TRAIN_AUG)))
    assert [p.name for p in prepare(root).written] == ['image_labels.json']
    assert path.read_text() == '\n'.join(reversed(TRAIN_AUG))


def test_bad_sbd_release(root, sbd):
    with pytest.raises(FileNotFoundError, match=r'cls does not exist; .*benchmark_RELEASE'):
        prepare(root, sbd=root)
    path = sbd / 'dataset/cls/2008_000003.mat'
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match='2008_000003.mat is not a class annotation of SBD'):
        prepare(root, sbd=sbd)
    assert not (root / 'SegmentationClassAug/2008_000003.png').exists()
    assert not (root / 'image_labels.json').exists()
    scipy.io.savemat(path, dict(GTcls=dict(Segmentation=np.zeros((3, 4)))))
    with pytest.raises(ValueError, match='float64; expected'):
        read_sbd_mask(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='mask missing: .*2008_000003.mat'):
        prepare(root, sbd=sbd)


def test_command_line(root, capsys):
    tool = 'dataset_converters/voc.py'
    before = snapshot(root)
    with pytest.raises(ValueError, match='train_aug has 3, not 10582; train has 2.*--subset'):
        run_tool(tool, root, '--workers', '1')
    assert snapshot(root) == before
    assert run_tool(tool, root, '--subset', '--workers', '1', '--label-file', 'mine.json') == 0
    assert 'train_aug 3, train 2, val 1' in capsys.readouterr().out
    assert json.loads((root / 'mine.json').read_text()).keys() == LABELS.keys()
