"""The retraining configs: they build, take a training step and predict."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from semples_mmseg.models import GradientClippingLoss
from semples_mmseg.pseudo_masks import write_mask

CONFIGS = Path(__file__).parents[2] / 'configs' / 'segmenter'
TINY = {
    'model.backbone.arch': dict(
        _delete_=True, embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=24
    ),
    'model.backbone.init_cfg': None,
    'model.decode_head.in_channels': 12,
    'model.decode_head.embed_dims': 12,
    'model.decode_head.channels': 12,
    'model.decode_head.num_heads': 2,
}


def load(name, changes):
    config = Config.fromfile(CONFIGS / name)
    config.merge_from_dict(copy.deepcopy(changes))
    init_default_scope('mmseg')
    return config


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
            **TINY,
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
            'val_dataloader.dataset.pipeline.1.scale': (640, 80),
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
    changes = {**TINY, 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_epochs': 1}
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
    from semples_mmseg.datasets import DemoDataset

    config = load('segmenter_demo.py', {})
    for part in ('train', 'val'):
        metainfo = config[f'{part}_dataloader'].dataset.metainfo
        assert tuple(metainfo.classes) == tuple(DemoDataset.METAINFO['classes'])
        assert metainfo.palette == DemoDataset.METAINFO['palette']
