"""The pseudo mask writer: files, resuming, and folders of other settings."""

import errno
import json
import os

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from semples_mmseg.evaluation import confusion_matrix, segmentation_scores
from semples_mmseg.pseudo_masks import MANIFEST, PseudoMaskWriter
from semples_mmseg.utils.label_png import read_mask

META = dict(classes=('background', 'cat', 'dog'), palette=[[9, 9, 9], [1, 2, 3], [4, 5, 6]])


def make_sample(seed, classes=(0, 1), target=False):
    rng = torch.Generator().manual_seed(seed)
    sample = SegDataSample(metainfo=dict(img_id=f'image_{seed}'))
    sample.cams = PixelData(data=torch.rand((len(classes), 4, 5), generator=rng))
    sample.set_data(dict(cam_classes=torch.tensor(classes, dtype=torch.int64)))
    if target:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 4, 5), generator=rng))
    return sample


def expected_label(sample, score):
    scores = torch.cat([torch.full((1, 4, 5), score), sample.cams.data])
    ids = torch.cat([torch.zeros(1, dtype=torch.int64), sample.cam_classes + 1])
    return ids[scores.argmax(0)].numpy()


def write(folder, samples, score=0.5, **options):
    evaluator = Evaluator(
        dict(type='mmseg.PseudoMaskWriter', out_dir=str(folder), background_score=score, **options)
    )
    evaluator.dataset_meta = META
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def test_masks_are_the_label_maps_of_the_cams(tmp_path):
    samples = [make_sample(0), make_sample(1, (1,)), make_sample(2, ())]
    assert write(tmp_path / 'm', samples) == dict(masks=3)
    for sample in samples:
        path = tmp_path / 'm' / f'{sample.img_id}.png'
        np.testing.assert_array_equal(read_mask(path), expected_label(sample, 0.5))
        with Image.open(path) as image:
            assert image.getpalette()[:9] == [9, 9, 9, 1, 2, 3, 4, 5, 6]


def test_every_image_leaves_a_result_that_is_not_none(tmp_path):
    # MMEngine drops None when it collects the results of several processes, and miscounts
    writer = PseudoMaskWriter(str(tmp_path), 0.5)
    writer.dataset_meta = META
    writer.process(None, [make_sample(i, target=i == 1).to_dict() for i in range(3)])
    assert [len(where) > 0 for where, _ in writer.results] == [False, True, False]


def test_manifest_records_the_settings(tmp_path):
    (tmp_path / 'weights.pth').write_bytes(b'abc')
    write(tmp_path / 'm', [make_sample(0)], 0.43, checkpoint=str(tmp_path / 'weights.pth'))
    manifest = json.loads((tmp_path / 'm' / MANIFEST).read_text())
    # SHA-256 of 'abc', from FIPS 180-2
    sha = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert manifest['checkpoint'] == dict(path=str(tmp_path / 'weights.pth'), sha256=sha)
    assert manifest['background_score'] == 0.43 and manifest['refinement'] == 'none'


def test_finished_masks_are_kept_and_missing_ones_made(tmp_path):
    samples = [make_sample(0), make_sample(1)]
    write(tmp_path, samples)
    kept = (tmp_path / 'image_0.png').stat().st_mtime_ns
    (tmp_path / 'image_1.png').unlink()
    (tmp_path / '.image_1.png.12345678.tmp').touch()  # killed while it was written
    write(tmp_path, samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'image_0.png',
        'image_1.png',
        MANIFEST,
    ]
    assert (tmp_path / 'image_0.png').stat().st_mtime_ns == kept
    np.testing.assert_array_equal(
        read_mask(tmp_path / 'image_1.png'), expected_label(samples[1], 0.5)
    )


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (dict(score=0.4), 'background_score: 0.5 there, 0.4 now'),
        (dict(settings=dict(scales=[1.0])), 'settings'),
        (dict(checkpoint='other.pth'), 'checkpoint'),
    ],
)
def test_other_settings_are_refused_unless_overwritten(tmp_path, monkeypatch, change, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'other.pth').write_bytes(b'other')
    write('m', [make_sample(0), make_sample(1)])
    before = sorted(p.read_bytes() for p in (tmp_path / 'm').iterdir())
    with pytest.raises(ValueError, match=f'other settings.*{named}.*--overwrite'):
        write('m', [make_sample(0)], **change)
    assert sorted(p.read_bytes() for p in (tmp_path / 'm').iterdir()) == before
    write('m', [make_sample(0)], overwrite=True, **change)
    assert not (tmp_path / 'm' / 'image_1.png').exists()  # it was of the old settings
    write('m', [make_sample(0)], **change)


def test_a_moved_checkpoint_is_the_same_checkpoint(tmp_path):
    for name in ('a.pth', 'b.pth'):
        (tmp_path / name).write_bytes(b'same')
        write(tmp_path / 'm', [make_sample(0)], checkpoint=str(tmp_path / name))


def test_a_folder_of_other_png_files_is_never_touched(tmp_path):
    Image.new('L', (2, 2)).save(tmp_path / 'precious.png')
    for overwrite in (False, True):
        with pytest.raises(ValueError, match='no folder of pseudo masks'):
            write(tmp_path, [make_sample(0)], overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ['precious.png']


def test_ground_truth_gives_the_miou_of_the_files(tmp_path):
    samples = [make_sample(i, target=True) for i in range(3)]
    metrics = write(tmp_path, samples)
    confusion = sum(
        confusion_matrix(
            torch.from_numpy(expected_label(s, 0.5)), s.gt_sem_seg.data[0], num_classes=3
        )
        for s in samples
    )
    assert metrics == dict(masks=3, mask_mIoU=float(segmentation_scores(confusion).miou))
    assert write(tmp_path, samples) == metrics  # also where the masks were there already


class Shift:
    """A refinement that turns class 1 into 2."""

    settings = dict(type='Shift')
    in_workers = False

    def __call__(self, label, sample):
        assert sample['img_id'] == 'image_0' and label.dtype == np.uint8
        return np.where(label == 1, 2, label)


def test_refinement_is_applied_and_recorded(tmp_path):
    writer = PseudoMaskWriter(str(tmp_path), 0.5, refine=Shift())
    writer.dataset_meta = META
    sample = make_sample(0)
    writer.process(None, [sample.to_dict()])
    label = expected_label(sample, 0.5)
    assert 1 in label
    np.testing.assert_array_equal(
        read_mask(tmp_path / 'image_0.png'), np.where(label == 1, 2, label)
    )
    assert json.loads((tmp_path / MANIFEST).read_text())['refinement'] == dict(type='Shift')
    with pytest.raises(ValueError, match='refinement'):
        PseudoMaskWriter(str(tmp_path), 0.5)


def with_image(sample, folder):
    """Give a sample an image file of random colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    path = folder / f'{sample.img_id}.bmp'
    Image.fromarray(pixels).save(path)
    sample.set_metainfo(dict(img_path=str(path)))
    return sample


def test_workers_write_the_same_masks_and_counts(tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    samples = [with_image(make_sample(i, target=True), tmp_path) for i in range(7)]
    refine = dict(type='DenseCRF', preset='coco', bilateral_srgb=200)
    inline = write(tmp_path / 'inline', samples, refine=refine, num_workers=0)
    pooled = write(tmp_path / 'pooled', samples, refine=refine, num_workers=1)
    assert pooled == inline and inline['masks'] == 7
    names = sorted(path.name for path in (tmp_path / 'inline').iterdir())
    assert (
        names == sorted(path.name for path in (tmp_path / 'pooled').iterdir()) and len(names) == 8
    )
    for name in names:
        files = [(tmp_path / folder / name).read_bytes() for folder in ('inline', 'pooled')]
        assert files[0] == files[1], name
    plain = write(tmp_path / 'plain', samples)
    assert plain != inline  # there was something to refine
    assert write(tmp_path / 'pooled', samples, refine=refine, num_workers=1) == inline  # resumed


@pytest.mark.parametrize(
    ('first', 'second', 'named'),
    [
        (None, dict(type='PAMR'), 'refinement: none there'),
        (dict(type='PAMR'), dict(type='PAMR', iterations=3), "refinement: .*'iterations': 10"),
    ],
)
def test_a_folder_of_another_refinement_is_refused(tmp_path, first, second, named):
    sample = with_image(make_sample(0), tmp_path)
    write(tmp_path / 'm', [sample], refine=first)
    with pytest.raises(ValueError, match=f'other settings.*{named}'):
        write(tmp_path / 'm', [sample], refine=second)
    write(tmp_path / 'm', [sample], refine=first)


def test_same_numbers_under_another_name_are_the_same_settings(tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    numbers = dict(gaussian_sxy=4, bilateral_sxy=83, bilateral_compat=3.0)
    PseudoMaskWriter(str(tmp_path), 0.5, refine=dict(type='DenseCRF', preset='voc'))
    PseudoMaskWriter(str(tmp_path), 0.5, refine=dict(type='DenseCRF', preset='coco', **numbers))
    with pytest.raises(ValueError, match='other settings'):
        PseudoMaskWriter(str(tmp_path), 0.5, refine=dict(type='DenseCRF', preset='coco'))


@pytest.mark.parametrize('function', ['replace', 'fsync'])
def test_a_full_disk_is_one_clear_error_and_leaves_whole_files_alone(
    tmp_path, monkeypatch, function
):
    write(tmp_path / 'm', [make_sample(0)])
    before = {path.name: path.read_bytes() for path in (tmp_path / 'm').iterdir()}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match='image_1.png cannot be written .No space left') as caught:
        write(tmp_path / 'm', [make_sample(0), make_sample(1)])
    assert caught.value.errno == errno.ENOSPC
    assert {path.name: path.read_bytes() for path in (tmp_path / 'm').iterdir()} == before
    monkeypatch.undo()
    assert write(tmp_path / 'm', [make_sample(0), make_sample(1)]) == dict(masks=2)


def test_an_error_in_a_worker_reaches_the_run(tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    refine = dict(type='DenseCRF', preset='voc')
    writer = PseudoMaskWriter(str(tmp_path / 'm'), 0.5, refine=refine, num_workers=1)
    writer.dataset_meta = META
    (tmp_path / 'm' / 'pseudo_masks.json').unlink()
    (tmp_path / 'm').rmdir()
    (tmp_path / 'm').write_text('no folder')
    writer.process(None, [with_image(make_sample(0), tmp_path).to_dict()])
    with pytest.raises(OSError, match='image_0.png cannot be written'):
        writer.evaluate(1)
    assert (tmp_path / 'm').read_text() == 'no folder'


def test_a_folder_that_cannot_be_written_is_found_first(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='folder of masks .*file/m cannot be written.*--out'):
        PseudoMaskWriter(str(tmp_path / 'file' / 'm'), 0.5)


def test_errors_are_clear(tmp_path):
    with pytest.raises(ValueError, match=r'`background_score` must be in \[0, 1\]'):
        PseudoMaskWriter(str(tmp_path / 'm'), 43)
    with pytest.raises(ValueError, match='`num_workers` must be 0 or more, got -1'):
        PseudoMaskWriter(str(tmp_path / 'm'), 0.43, num_workers=-1)
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        PseudoMaskWriter(str(tmp_path / 'm'), 0.43, checkpoint='nowhere.pth')
    assert not (tmp_path / 'm').exists()
    sample = make_sample(0)
    del sample.cams
    with pytest.raises(ValueError, match="'image_0' has no `cams`"):
        write(tmp_path / 'm', [sample])
