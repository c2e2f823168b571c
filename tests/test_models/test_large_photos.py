"""Photos above the limit of ``LimitSide``: computed small, labelled at their own size."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmseg.registry import MODELS
from PIL import Image
from tiny import TINY_GENERATOR
from tiny_segmenter import SMALL_WINDOWS, TINY_ENCODER, load, randomise

from semples_mmseg.datasets.transforms import set_max_side
from semples_mmseg.masks.crf import TEST_TIME_CRF
from semples_mmseg.masks.refinement import refine_file
from semples_mmseg.masks.threshold_curve import CAMMetric
from semples_mmseg.masks.writer import PseudoMaskWriter
from semples_mmseg.utils.label_png import read_mask

SIZE, SMALL = (150, 300), (60, 120)


def blocks(seed=0, cells=(5, 10)):
    colours = np.random.default_rng(seed).integers(0, 256, (*cells, 3), np.uint8)
    return colours.repeat(SIZE[0] // cells[0], 0).repeat(SIZE[1] // cells[1], 1)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(blocks()).save(tmp_path / 'a.png')
    return str(tmp_path / 'a.png')


def packed(photo, max_side, *steps, labels=(1, 0, 1)):
    pipeline = Compose(
        [dict(type='LoadCheckedImage'), dict(type='LimitSide', max_side=max_side), *steps]
    )
    item = dict(img_path=photo, img_id='a', image_labels=np.array(labels, np.float32))
    return pseudo_collate([pipeline(item)])


@pytest.fixture
def cam_model():
    generator = copy.deepcopy(TINY_GENERATOR)
    model = MODELS.build(
        dict(type='CAMSegmentor', mask_generator=generator, class_names=['cat', 'dog', 'car'])
    )
    return model.eval()


def predicted(model, batch):
    with torch.no_grad():
        return model.test_step(batch)[0]


def test_cams_have_the_limited_size_and_labels_the_original_one(photo, cam_model):
    pack = dict(type='PackWeakInputs', scales=(1.0, 1.2))
    whole = packed(photo, 300, pack)
    assert 'limited_shape' not in whole['data_samples'][0].metainfo
    assert tuple(whole['inputs'][0][0].shape[1:]) == SIZE
    sample = predicted(cam_model, packed(photo, 120, pack))
    assert sample.cams.shape == SMALL and sample.ori_shape == SIZE
    large = torch.nn.functional.interpolate(sample.cams.data[None], SIZE, mode='bilinear')[0]
    best, index = large.max(0)
    expected = torch.where(best > 0.4, sample.cam_classes[index] + 1, 0)
    found = sample.pred_sem_seg.data[0]
    assert set(found.unique().tolist()) == {0, 1, 3}
    assert (found == expected).float().mean() > 0.999


def test_a_limited_photo_is_that_photo_made_small_beforehand(photo, cam_model, tmp_path):
    pack = dict(type='PackWeakInputs')
    sample = predicted(cam_model, packed(photo, 120, pack, labels=(0, 0, 0)))
    assert sample.cams.shape == SMALL and not sample.pred_sem_seg.data.any()
    Image.open(photo).resize(SMALL[::-1], Image.Resampling.BICUBIC).save(tmp_path / 'small.png')
    small = predicted(cam_model, packed(str(tmp_path / 'small.png'), 120, pack))
    torch.testing.assert_close(
        predicted(cam_model, packed(photo, 120, pack)).cams.data, small.cams.data
    )


def test_metric_and_pseudo_masks_take_them(photo, cam_model, tmp_path):
    seen = []

    class Spy:
        settings, in_workers = None, False

        def __call__(self, label, sample):
            seen.append((label.shape, sample['ori_shape']))
            return label

    meta = dict(classes=('background', 'cat', 'dog', 'car'), palette=None)
    batch = packed(photo, 120, dict(type='PackWeakInputs'))
    sample = predicted(cam_model, batch)
    truth = sample.pred_sem_seg.data.clone()
    sample.gt_sem_seg = copy.deepcopy(sample.pred_sem_seg)
    metric = CAMMetric(thresholds=[0.4])
    metric.dataset_meta = meta
    metric.process(None, [sample.to_dict()])
    assert metric.compute_metrics(metric.results)['seed_mIoU'] > 99

    for refine in (None, Spy()):
        writer = PseudoMaskWriter(str(tmp_path / 'masks'), refine=refine)
        writer.dataset_meta = meta
        writer.process(None, [sample.to_dict()])
        mask = read_mask(tmp_path / 'masks/a.png')
        assert mask.shape == SIZE
        assert (mask == truth[0].numpy()).mean() > (0.98 if refine else 1 - 1e-9)
    assert seen == [(SMALL, SIZE)]


@pytest.mark.parametrize('tta', [False, True])
def test_segmenter_has_logits_of_the_limited_size(photo, tta):
    config = load('segmenter_deit-s_voc12.py', TINY_ENCODER, SMALL_WINDOWS)
    module = randomise(MODELS.build(config.model))
    module.decode_head.mask_norm.register_forward_hook(
        lambda _, given, out: (out - out.mean(1, keepdim=True)) / out.std(1, keepdim=True)
    )  # else one class may win everywhere
    resize = dict(type='Resize', scale=(560, 70), keep_ratio=True)
    steps = [resize, dict(type='PackWeakInputs')]
    model = module
    if tta:
        views = [[resize], [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)]]
        steps = [dict(type='TestTimeAug', transforms=[*views, steps[1:]])]
        model = MODELS.build(dict(type='ProbabilityTTA', module=module))
    model.eval()
    whole = predicted(model, packed(photo, 300, *steps, labels=[1] * 20))
    assert whole.seg_logits.shape == SIZE
    found = predicted(model, packed(photo, 120, *steps, labels=[1] * 20))
    assert found.seg_logits.shape == SMALL and found.ori_shape == SIZE
    large = torch.nn.functional.interpolate(
        found.seg_logits.data.exp()[None] if tta else found.seg_logits.data[None],
        SIZE,
        mode='bilinear',
    )
    agreement = (found.pred_sem_seg.data == large.argmax(1)).float().mean()
    assert found.pred_sem_seg.shape == SIZE and agreement > 0.999
    assert len(found.pred_sem_seg.data.unique()) > 2


def test_crf_works_at_the_limited_size(photo):
    pytest.importorskip('pydensecrf')
    probabilities = np.full((3, *SMALL), 0.1, np.float32)
    probabilities[0, :, :60] = probabilities[2, :, 60:] = 0.8
    sample = dict(img_path=photo, ori_shape=SIZE)
    label = refine_file(sample, probabilities, TEST_TIME_CRF['voc'], False)
    assert label.shape == SIZE and set(np.unique(label)) == {0, 2}
    sample['ori_shape'] = SMALL
    with pytest.raises(ValueError, match=photo):
        refine_file(sample, probabilities, TEST_TIME_CRF['voc'], False)


def test_the_limit_of_a_config_is_set_everywhere():
    config = Config.fromfile('configs/semples/voc_refine.py')
    segmenter = load('segmenter_deit-s_voc12_test-server.py')
    for loaded in (config, segmenter):
        content = loaded.to_dict()
        assert set_max_side(content, 77) >= 3
        assert "'max_side': 640" not in str(content)
    assert set_max_side([len, dict(type='LoadCheckedImage')], 77) == 0
