"""The retraining configs: they build, take a training step and predict."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS, MODELS
from tiny_segmenter import SMALL_VIEWS, SMALL_WINDOWS, TINY_ENCODER, WINDOW, data_at, load

from semples_mmseg.engine import check_classes
from semples_mmseg.models import GradientClippingLoss


def test_demo_classes_are_those_of_the_demo_world():
    from semples_mmseg.demo import DemoDataset

    config = load('segmenter_demo.py', {})
    model = MODELS.build(config.model)
    assert model.decode_head.num_classes == 7
    assert model.dataset_meta == DemoDataset.METAINFO
    assert {config[f'{part}_dataloader'].dataset.class_names for part in ('train', 'val')} == {
        'DemoDataset'
    }


@pytest.mark.parametrize(
    ('named', 'message'),
    [
        (['cat', 'dog'], 'differ in their names'),
        (['bird', 'boat', 'train', 'aeroplane', 'car', 'cow'], 'differ in their order'),
    ],
)
def test_a_data_set_of_other_classes_is_refused(named, message):
    model = MODELS.build(load('segmenter_demo.py', {'model.backbone.init_cfg': None}).model)
    given = dict(classes=('background', *named))
    with pytest.raises(ValueError, match=message):
        check_classes(MODELS.build(dict(type='ProbabilityTTA', module=model)), given)
    own = load('segmenter_demo.py', {'model.backbone.init_cfg': None})
    own.model.decode_head.num_classes = 3  # as in MMSeg; of which names is not known then
    model = MODELS.build(own.model)
    if len(named) == 2:
        check_classes(model, given)
    else:
        with pytest.raises(ValueError, match='has 7 classes with background, the model has 3'):
            check_classes(model, given)


SMALL_CROPS = {
    'train_dataloader.dataset.pipeline.2.scale': (640, 80),
    'train_dataloader.dataset.pipeline.3.crop_size': (WINDOW, WINDOW),
}
TINY_SEGNEXT = {
    'model.backbone.embed_dims': [4, 8, 8, 8],
    'model.backbone.depths': [1, 1, 1, 1],
    'model.backbone.init_cfg': None,
    'model.decode_head.in_channels': [8, 8, 8],
    'model.decode_head.channels': 8,
    'model.decode_head.ham_channels': 8,
    'model.decode_head.ham_kwargs.MD_R': 2,
    'model.decode_head.norm_cfg.num_groups': 2,
    **{name: value for name, value in SMALL_WINDOWS.items() if 'img_size' not in name},
}
SMALL = {
    'model.backbone.init_cfg': None,
    'model.decode_head.channels': 8,
    **{name: value for name, value in SMALL_WINDOWS.items() if 'img_size' not in name},
}
TINY_VIT = {**TINY_ENCODER, **SMALL_WINDOWS}
VARIANTS = {
    'segmenter_deit-s_voc12.py': TINY_VIT,
    'segmenter_deit-s_coco14.py': TINY_VIT,
    'segmenter_vit-s_voc12.py': TINY_VIT,
    'segnext_mscan-b_voc12.py': TINY_SEGNEXT,
    'deeplabv3plus_r101_voc12.py': {
        'model.backbone.depth': 18,
        'model.backbone.base_channels': 8,
        'model.backbone.stem_channels': 8,
        'model.decode_head.in_channels': 64,
        'model.decode_head.c1_in_channels': 8,
        'model.decode_head.c1_channels': 4,
        **SMALL,
    },
    'upernet_swin-l_voc12.py': {
        'model.backbone.embed_dims': 12,
        'model.backbone.depths': [1, 1, 1, 1],
        'model.backbone.num_heads': [1, 1, 2, 2],
        'model.decode_head.in_channels': [12, 24, 48, 96],
        **SMALL,
    },
    'segformer_mit-b5_voc12.py': {
        'model.backbone.embed_dims': 4,
        'model.backbone.num_layers': [1, 1, 1, 1],
        'model.decode_head.in_channels': [4, 8, 20, 32],
        **SMALL,
    },
}


@pytest.mark.parametrize('name', VARIANTS)
def test_every_variant_takes_a_step_and_predicts_with_its_views(make_voc_tree, name):
    labels = {'2007_000001': ['cat'], '2007_000002': ['dog', 'person']}
    root = make_voc_tree(labels, size=(50, 61))
    where = [data_at(part, root, 'train.txt') for part in ('train', 'test')]
    config = load(name, VARIANTS[name], SMALL_CROPS, SMALL_VIEWS, *where)
    del config.tta_pipeline[2].transforms[0][2:]  # two scales are enough here
    data = DATASETS.build(config.train_dataloader.dataset)
    model = MODELS.build(config.model)
    number = len(data.metainfo['classes'])
    assert number == model.decode_head.num_classes == (81 if 'coco' in name else 21)
    assert isinstance(model.decode_head.loss_decode, GradientClippingLoss)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    if name == 'segmenter_deit-s_voc12.py':
        rates = {p: group['lr'] for group in optimizer.param_groups for p in group['params']}
        assert rates[model.backbone.pos_embed] == pytest.approx(1e-5)
        assert rates[model.decode_head.cls_emb] == pytest.approx(1e-4)
    before = [value.clone() for value in model.state_dict().values()]
    losses = model.train().train_step(pseudo_collate([data[0], data[1]]), optimizer)
    assert torch.isfinite(losses['loss']) and losses['decode.loss_gcl'] > 0
    changed = [not a.equal(b) for a, b in zip(model.state_dict().values(), before, strict=True)]
    assert sum(changed) > len(before) / 2

    data = DATASETS.build(config.test_dataloader.dataset)
    model.eval()
    (result,) = model.test_step(pseudo_collate([data[1]]))
    assert result.pred_sem_seg.shape == result.gt_sem_seg.shape == (50, 61)
    data = DATASETS.build(dict(config.test_dataloader.dataset, pipeline=config.tta_pipeline))
    tta = MODELS.build(dict(config.tta_model, module=model))
    (result,) = tta.test_step(pseudo_collate([data[1]]))
    assert result.pred_sem_seg.shape == (50, 61)
    assert result.seg_logits.shape == (50, 61) and len(result.seg_logits.data) == number


@pytest.mark.parametrize('name', [*VARIANTS, 'segmenter_deit-s_voc12_test-server.py'])
def test_variants_differ_from_each_other_in_what_they_say_alone(name):
    config, reference = load(name), load('segmenter_deit-s_voc12.py')
    for key in ('train_pipeline', 'test_pipeline', 'tta_sizes', 'tta_model', 'val_evaluator'):
        assert config[key] == reference[key]
    ratios = (0.5, 0.75, 1, 1.25, 1.5, 1.75)
    assert [size.scale for size in config.tta_sizes] == [(4160 * r, 520 * r) for r in ratios]
    assert config.model.type == 'WindowedEncoderDecoder'
    assert config.model.test_cfg == reference.model.test_cfg
    assert config.model.decode_head.loss_decode == reference.model.decode_head.loss_decode
    assert (config.crf == reference.crf) == ('coco' not in name)
    if 'coco' in name:
        classes = DATASETS.get(config.train_dataloader.dataset.class_names).METAINFO['classes']
        assert classes == ('background', *COCOStuffDataset.METAINFO['classes'][:80])
        assert config.crf == dict(preset='coco')


def test_labelled_train_changes_the_test_alone():
    config = load('segmenter_deit-s_voc12_labelled-train.py')
    reference = load('segmenter_deit-s_voc12.py')
    assert config.model.test_cfg.pop('restrict_to_image_labels')
    for key in ('model', 'train_dataloader', 'val_dataloader', 'optim_wrapper', 'train_cfg'):
        assert config[key] == reference[key]
    dataset = config.test_dataloader.dataset
    assert dataset.type == 'WeakVOCDataset' and dataset.test_mode
    assert dataset.ann_file == 'ImageSets/Segmentation/train.txt'
    assert dataset.data_prefix.seg_map_path == 'SegmentationClassAug'
