"""Testing a retrained Segmenter through tools/test.py, as a user does."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from run_tool import run_tool
from tiny_segmenter import SMALL_VIEWS, SMALL_WINDOWS, TINY_ENCODER, data_at, load, randomise

from semples_mmseg.masks.crf import TEST_TIME_CRF, crf_on_probabilities
from semples_mmseg.utils.errors import Refusal

PREFIX = 'test_dataloader.dataset.data_prefix'
LABELS = {'2007_000001': ['cat'], '2007_000002': ['dog', 'person'], '2007_000003': ['sofa']}


@pytest.fixture
def run_test(make_voc_tree, tmp_path, monkeypatch):
    """Return a function that runs tools/test.py on a config made small, with options."""
    root = make_voc_tree(LABELS, (45, 66))
    (root / 'ImageSets/Segmentation/train.txt').rename(root / 'ImageSets/Segmentation/list.txt')
    masks = root / 'SegmentationClassAug'
    monkeypatch.chdir(tmp_path)

    def run(name, *options, changes=None, with_masks=True):
        where = data_at('test', root, 'list.txt', masks.name if with_masks else None)
        config = load(name, TINY_ENCODER, SMALL_WINDOWS, SMALL_VIEWS, where, changes or {})
        del config.tta_pipeline[2].transforms[0][2:]  # two scales are enough here
        config.dump(tmp_path / name)
        model = randomise(MODELS.build(config.model))
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
        metrics = tmp_path / 'metrics.json'
        files = tmp_path / name, tmp_path / 'model.pth'
        run_tool('test.py', *files, '--metrics', metrics, *options)
        return json.loads(metrics.read_text())

    run.root = root
    return run


def read(folder):
    return {path.stem: np.array(Image.open(path)) for path in sorted(folder.glob('*.png'))}


def miou(predicted, root):
    truth = read(root / 'SegmentationClassAug')
    assert predicted.keys() == truth.keys()
    p, t = (np.concatenate([masks[k].ravel() for k in sorted(truth)]) for masks in
            (predicted, truth))  # fmt: skip
    p, t = p[t != 255], t[t != 255]
    ious = [((p == k) & (t == k)).sum() / max(((p == k) | (t == k)).sum(), 1) for k in range(21)
            if ((p == k) | (t == k)).any()]  # fmt: skip
    return 100 * np.mean(ious)


def test_mask_figure_restricted_augmented_and_refined(run_test, tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    changes = {'crf.num_workers': 0, 'test_dataloader.dataset.label_file': 'labels.json',
               'test_dataloader.dataset.data_root': str(run_test.root)}  # fmt: skip
    name = 'segmenter_deit-s_voc12_labelled-train.py'
    plain = run_test(name, '--tta', '--out', 'plain', changes=changes)
    refined = run_test(name, '--tta', '--crf', '--out', 'refined', changes=changes)
    allowed = dict(zip(LABELS, [{0, 8}, {0, 12, 15}, {0, 18}], strict=True))
    for folder, metrics in (('plain', plain), ('refined', refined)):
        masks = read(tmp_path / folder)
        assert metrics['predictions'] == 3
        assert metrics['mIoU'] == pytest.approx(miou(masks, run_test.root), abs=0.01)
        for image, mask in masks.items():
            assert mask.shape == (45, 66) and set(np.unique(mask)) <= allowed[image]
        assert Image.open(tmp_path / folder / '2007_000001.png').mode == 'P'
    # the CRF ran, on these images
    assert any((read(tmp_path / 'plain')[k] != read(tmp_path / 'refined')[k]).any() for k in LABELS)


def test_crf_takes_the_softmax_of_a_single_view(run_test, tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    changes = {'crf.num_workers': 0}
    run_test('segmenter_deit-s_voc12.py', '--crf', '--out', 'refined', changes=changes)
    config = Config.fromfile(tmp_path / 'segmenter_deit-s_voc12.py')
    model = MODELS.build(config.model)
    model.load_state_dict(torch.load(tmp_path / 'model.pth', weights_only=True)['state_dict'])
    data = DATASETS.build(config.test_dataloader.dataset)
    for index, mask in enumerate(read(tmp_path / 'refined').values()):
        (result,) = model.eval().test_step(pseudo_collate([data[index]]))
        image = np.array(Image.open(result.img_path))
        probabilities = result.seg_logits.data.softmax(0).detach().numpy()
        np.testing.assert_array_equal(
            mask, crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc'])
        )


def test_the_test_list_becomes_what_the_server_takes_without_any_mask(run_test, tmp_path):
    name = 'segmenter_deit-s_voc12_test-server.py'
    masks = run_test.root / 'SegmentationClassAug'
    masks.rename(masks.with_name('hidden'))
    assert run_test(name, '--tta', with_masks=False) == dict(predictions=3)
    folder = tmp_path / 'work_dirs/voc12_test/results/VOC2012/Segmentation/comp6_test_cls'
    ids = (run_test.root / 'ImageSets/Segmentation/list.txt').read_text().split()
    assert sorted(path.name for path in folder.iterdir()) == sorted(f'{name}.png' for name in ids)
    for name in ids:
        mask = Image.open(folder / f'{name}.png')
        image = Image.open(run_test.root / 'JPEGImages' / f'{name}.jpg')
        assert (mask.mode, mask.size) == ('P', image.size)


@pytest.mark.parametrize('masks', [None, 'nowhere'])
def test_images_without_masks_are_predicted_and_not_measured(run_test, tmp_path, masks):
    changed = [
        '--cfg-options',
        'test_dataloader.dataset.ann_file=',
        f'{PREFIX}.seg_map_path={masks}',
    ]
    metrics = run_test('segmenter_deit-s_voc12.py', '--tta', '--out', 'out', *changed)
    assert metrics == dict(predictions=3)
    assert read(tmp_path / 'out').keys() == LABELS.keys()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--cfg-options', 'tta_model=None', '--tta'], ['--tta: ', 'has no `tta_model`']),
        (['--cfg-options', 'crf=None', '--crf'], ['--crf: ', 'has no `crf`']),
        (['--cfg-options', f'{PREFIX}.seg_map_path=None'], ['IoUMetric', PREFIX, '--out']),
        (['--out', 'JPEGImages'], ['is img_path of the test images']),
        (['--out', 'SegmentationClassAug'], ['is seg_map_path of the test images']),
        (['--out', 'ImageSets/Segmentation/list.txt'], ['list.txt ']),
        (['--metrics', 'JPEGImages'], ['is a folder']),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_model_is_built(
    run_test, monkeypatch, options, words
):
    monkeypatch.chdir(run_test.root)
    with pytest.raises(Refusal) as refusal:
        run_test('segmenter_deit-s_voc12.py', *options)
    assert all(word in str(refusal.value) for word in words)


def test_images_of_one_name_in_two_folders_have_a_prediction_each(run_test, tmp_path):
    images, ids = run_test.root / 'JPEGImages', ['a/x', 'b/x', 'c d/x']
    for img_id, path in zip(ids, sorted(images.glob('*.jpg')), strict=True):
        (images / img_id).parent.mkdir()
        path.rename(images / f'{img_id}.jpg')
    # MMSeg's own data set and packing, which know no ids
    plain = {
        'test_dataloader.dataset': dict(
            _delete_=True,
            type='BaseSegDataset',
            metainfo=dict(classes=PascalVOCDataset.METAINFO['classes']),
            data_root=str(run_test.root),
            data_prefix=dict(img_path='JPEGImages'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(560, 70), keep_ratio=True),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
    }
    run_test('segmenter_deit-s_voc12.py', '--out', 'out', changes=plain)
    assert sorted(
        path.relative_to(tmp_path / 'out').as_posix() for path in tmp_path.glob('out/*/*')
    ) == [f'{img_id}.png' for img_id in ids]


@pytest.mark.parametrize(
    'written',
    [
        ('b/match.pth', '--out', 'masks'),
        ('b/match.pth', '--show-dir', 'painted'),
        ('b/refine.pth', '--metrics', 'seeds.json'),
    ],
)
def test_a_checkpoint_does_not_overwrite_what_another_has_written(written):
    with pytest.raises(ValueError, match='would overwrite'):
        run_tool('test.py', 'config.py', 'a/refine.pth', *written)
