"""The retraining configs: they build, take a training step and predict."""

import numpy as np
import pytest
import timm
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from safetensors.torch import save_file
from tiny_segmenter import SMALL_VIEWS, SMALL_WINDOWS, TINY_ENCODER, WINDOW, data_at, load

from semples_mmseg.engine import check_classes
from semples_mmseg.models import GradientClippingLoss
from semples_mmseg.utils.label_png import write_mask


def test_voc_trains_a_step_and_predicts_at_the_original_size(make_voc_tree, tmp_path):
    labels = {'2007_000001': ['cat'], '2007_000002': ['dog', 'person']}
    root = make_voc_tree(labels, size=(50, 61))
    for name in labels:
        label = np.zeros((50, 61), np.uint8)
        label[10:30, 10:40] = 8
        label[-4:] = 255
        write_mask(tmp_path / 'masks' / f'{name}.png', label)
    small = dict(crop_size=(64, 64))
    config = load(
        'segmenter_deit-s_voc12.py',
        {
            **TINY_ENCODER,
            'model.backbone.img_size': 64,
            'model.data_preprocessor.size': (64, 64),
            'model.test_cfg': dict(small, stride=(48, 48)),
            'train_dataloader.dataset.ann_file': str(root / 'ImageSets/Segmentation/train.txt'),
            'train_dataloader.dataset.data_prefix': dict(
                img_path=str(root / 'JPEGImages'), seg_map_path=str(tmp_path / 'masks')
            ),
            'train_dataloader.dataset.pipeline.2.scale': (640, 80),
            'train_dataloader.dataset.pipeline.3.crop_size': (64, 64),
            'val_dataloader.dataset.ann_file': str(root / 'ImageSets/Segmentation/train.txt'),
            'val_dataloader.dataset.data_prefix': dict(
                img_path=str(root / 'JPEGImages'), seg_map_path=str(root / 'SegmentationClassAug')
            ),
            'val_dataloader.dataset.pipeline.2.scale': (640, 80),
        },
    )
    model = MODELS.build(config.model)
    assert model.decode_head.num_classes == 21
    assert isinstance(model.decode_head.loss_decode, GradientClippingLoss)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    rates = {
        name: group['lr']
        for name, parameter in model.named_parameters()
        for group in optimizer.param_groups
        if any(parameter is p for p in group['params'])
    }
    assert rates['backbone.pos_embed'] == pytest.approx(1e-5)
    assert rates['decode_head.cls_emb'] == pytest.approx(1e-4)

    data = DATASETS.build(config.train_dataloader.dataset)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    losses = model.train_step(pseudo_collate([data[0], data[1]]), optimizer)
    assert torch.isfinite(losses['loss']) and losses['decode.loss_gcl'] > 0
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert 'decode_head.cls_emb' in moved and 'backbone.layers.0.attn.qkv.weight' in moved

    model.eval()
    data = DATASETS.build(config.val_dataloader.dataset)
    (result,) = model.val_step(pseudo_collate([data[0]]))
    assert result.pred_sem_seg.shape == result.gt_sem_seg.shape == (50, 61)
    # the mean over windows in the model equals one made by hand
    inputs = model.data_preprocessor(pseudo_collate([data[0]]), False)['inputs']
    assert inputs.shape[-2:] == (80, 98)
    total, count = torch.zeros(1, 21, 80, 98), torch.zeros(1, 1, 80, 98)
    with torch.no_grad():
        for top in (0, 16):  # the last window flush with the end
            for left in (0, 34):
                window = inputs[..., top : top + 64, left : left + 64]
                logits = model.decode_head(model.backbone(window))
                logits = torch.nn.functional.interpolate(logits, (64, 64), mode='bilinear')
                total[..., top : top + 64, left : left + 64] += logits
                count[..., top : top + 64, left : left + 64] += 1
    expected = torch.nn.functional.interpolate(total / count, (50, 61), mode='bilinear')[0]
    torch.testing.assert_close(result.seg_logits.data, expected, atol=1e-5, rtol=1e-4)


def test_demo_runs_through_the_runner(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / 'demo'
    (root / 'ImageSets').mkdir(parents=True)
    (root / 'JPEGImages').mkdir()
    for split in ('train', 'val'):
        names = [f'{split}_{i}' for i in range(3)]
        (root / 'ImageSets' / f'{split}.txt').write_text('\n'.join(names))
        for name in names:
            image = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(image).save(root / 'JPEGImages' / f'{name}.png')
            write_mask(root / 'SegmentationClass' / f'{name}.png', rng.integers(0, 7, (64, 64)))
    changes = {**TINY_ENCODER, 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_epochs': 1}
    changes |= {'train_cfg.val_interval': 1, 'param_scheduler.end': 2}
    changes |= {'train_dataloader.batch_size': 2, 'val_dataloader.batch_size': 2}
    for part in ('train', 'val'):
        prefix = f'{part}_dataloader.dataset.'
        changes[prefix + 'ann_file'] = str(root / 'ImageSets' / f'{part}.txt')
        changes[prefix + 'data_prefix'] = dict(
            img_path=str(root / 'JPEGImages'), seg_map_path=str(root / 'SegmentationClass')
        )
    config = load('segmenter_demo.py', changes)
    config.test_dataloader = config.val_dataloader
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 1
    metrics = runner.val_loop.run()
    assert 0 <= metrics['mIoU'] <= 100


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

    class Data:
        metainfo = dict(classes=('background', *named))

    with pytest.raises(ValueError, match=message):
        check_classes(MODELS.build(dict(type='ProbabilityTTA', module=model)), Data)
    own = load('segmenter_demo.py', {'model.backbone.init_cfg': None})
    own.model.decode_head.num_classes = 3  # as in MMSeg; of which names is not known then
    model = MODELS.build(own.model)
    if len(named) == 2:
        check_classes(model, Data)
    else:
        with pytest.raises(ValueError, match='has 7 classes with background, the model has 3'):
            check_classes(model, Data)


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
    'deeplab-largefov_resnet38_voc12.py': {
        'model.backbone.width': 1 / 16,
        'model.decode_head.in_channels': 256,
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
    assert config.model.type == 'WindowedEncoderDecoder'
    assert config.model.test_cfg == reference.model.test_cfg
    assert config.model.decode_head.loss_decode == reference.model.decode_head.loss_decode
    assert (config.crf == reference.crf) == ('coco' not in name)


def test_coco_classes_and_crf():
    config = load('segmenter_deit-s_coco14.py')
    classes = DATASETS.get(config.train_dataloader.dataset.class_names).METAINFO['classes']
    assert classes == ('background', *COCOStuffDataset.METAINFO['classes'][:80])
    assert config.crf == dict(preset='coco')


def test_vit_s_gets_the_weights_of_timm(tmp_path, monkeypatch):
    """A checkpoint of timm's layout fills the whole encoder of the ViT-S config."""
    vit = timm.create_model('vit_small_patch16_224.augreg_in21k', num_classes=3)
    folder = tmp_path / 'pretrained'
    folder.mkdir()
    save_file(vit.state_dict(), folder / 'vit_small_patch16_224.augreg_in21k.safetensors')
    monkeypatch.chdir(tmp_path)
    config = load('segmenter_vit-s_voc12.py', {'model.backbone.img_size': 224})
    assert config.model.data_preprocessor.mean == list(255 * m for m in vit.default_cfg['mean'])
    assert config.model.data_preprocessor.std == list(255 * s for s in vit.default_cfg['std'])
    model = MODELS.build(config.model).eval()
    model.backbone.init_weights()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = vit.eval().forward_features(image)[:, 1:]
        (features,) = model.backbone(image)
    torch.testing.assert_close(features.flatten(2).transpose(1, 2), expected, atol=1e-5, rtol=1e-4)


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
