"""The Segmenter of configs/segmenter, made small enough for a test."""

import copy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs' / 'segmenter'
WINDOW, STRIDE = 64, 43
SIDES = (35, 53, 70, 88, 105, 123)
"""Short sides of the multi-scale test, 0.5 to 1.75 times 70."""

TINY_ENCODER = {
    'model.backbone.arch': dict(
        _delete_=True, embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=24
    ),
    'model.backbone.init_cfg': None,
    'model.decode_head.in_channels': 12,
    'model.decode_head.embed_dims': 12,
    'model.decode_head.channels': 12,
    'model.decode_head.num_heads': 2,
}
SMALL_WINDOWS = {
    'model.backbone.img_size': WINDOW,
    'model.data_preprocessor.size': (WINDOW, WINDOW),
    'model.test_cfg.crop_size': (WINDOW, WINDOW),
    'model.test_cfg.stride': (STRIDE, STRIDE),
}
SMALL_VIEWS = {
    'test_dataloader.dataset.pipeline.2.scale': (560, 70),
    **{
        f'tta_pipeline.2.transforms.0.{index}.scale': (8 * side, side)
        for index, side in enumerate(SIDES)
    },
}


def load(name, *changes):
    """Read a config of configs/segmenter with changes merged in."""
    config = Config.fromfile(CONFIGS / name)
    for change in changes:
        config.merge_from_dict(copy.deepcopy(change))
    init_default_scope('mmseg')
    return config


def data_at(part, root, ids, masks='SegmentationClassAug'):
    """Changes that point a dataloader at a tree of ``make_voc_tree``; None leaves masks out."""
    prefix = dict(img_path=str(root / 'JPEGImages'))
    if masks is not None:
        prefix['seg_map_path'] = str(root / masks)
    return {
        f'{part}_dataloader.num_workers': 0,
        f'{part}_dataloader.dataset.ann_file': str(root / 'ImageSets/Segmentation' / ids),
        f'{part}_dataloader.dataset.data_prefix': dict(_delete_=True, **prefix),
    }


def randomise(model):
    """Give an encoder-decoder weights whose predictions vary from pixel to pixel."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.constant_(model.decode_head.mask_norm.weight, 2)
    torch.nn.init.zeros_(model.decode_head.mask_norm.bias)  # else one class wins everywhere
    return model
