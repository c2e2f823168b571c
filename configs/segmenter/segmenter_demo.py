"""Retraining on the demo's pseudo masks, evaluated on held-out scenes.

    python tools/train.py configs/segmenter/segmenter_demo.py

The masks come from tools/make_pseudo_masks.py; PSEUDO_MASKS=FOLDER in the environment names another
folder of them, DATA_ROOT=FOLDER another one of the scenes.

The scenes are enlarged to 128 pixels, so that the grid is 16 x 16 where that of the CAMs is 8 x 8;
training sees crops of 80. What differs from configs/segmenter/segmenter_deit-s_voc12.py is listed in
`differs_from_paper`.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/loading.py',
    '../_base_/models/segmenter_deit-s.py',
]
import os

custom_imports = dict(imports=['semples_mmseg', 'semples_mmseg.demo'], allow_failed_imports=False)
differs_from_paper = {
    'encoder': 'ViT of width 64, 4 blocks, patch 8 and convolutional stem (DeiT-S/16)',
    'decoder': '1 block, 4 heads, width 64, no dropout (2, 6, 384, 0.1)',
    'initial weights of the decoder': 'std 0.125, to go with width 64 (0.02)',
    'optimizer': 'AdamW, weight decay 0.03 (SGD, Nesterov momentum 0.9, weight decay 0)',
    'learning rate': '3e-3 to 0, encoder x 0.3 (1e-4 to 1e-5, encoder x 0.1)',
    'epochs, batch': '10, 16 (100, 4)',
    # 1.2 is passed within a few steps here, as 80 % of the pixels are background and classes are
    # few; the objects would be clipped away before they are learned
    'clipping': 'from a mean loss of 0.4 on (1.2), in tiles of 20 pixels (120), a quarter of a crop',
    'augmentation': 'scale 0.8 to 1.4 (0.5 to 2.0), no photometric distortion: colour tells a lot',
    'test': 'the whole image at once (sliding windows)',
}
crop_size = (80, 80)
scale = (128, 128)
dataset = dict(
    type='CheckedSegDataset',
    data_root='{{$DATA_ROOT:data/demo}}',
    class_names='DemoDataset',
    img_suffix='.png',
)
model = dict(
    class_names=dataset['class_names'],
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=256
        ),
        img_size=128,
        patch_size=8,
        drop_path_rate=0.0,
        norm_cfg=dict(eps=1e-6),
        patch_cfg=dict(conv_type='ConvStem'),
        init_cfg=dict(checkpoint='weights:semples_mmseg::demo/models/demo_backbone.safetensors'),
    ),
    decode_head=dict(
        in_channels=64,
        channels=64,
        num_layers=1,
        num_heads=4,
        embed_dims=64,
        drop_rate=0.0,
        attn_drop_rate=0.0,
        init_std=0.125,
        loss_decode=dict(start=0.4, tile=20),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)

limit_side = dict(type='LimitSide', max_side=256)
train_pipeline = [
    _base_.load_image,
    dict(type='LoadCheckedAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.8, 1.4), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    _base_.load_test_image,
    limit_side,
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadCheckedAnnotations'),
    dict(type='PackWeakInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/train.txt',
        data_prefix=dict(
            img_path='JPEGImages',
            # Absolute, because relative folders are in data_root.
            seg_map_path=os.path.abspath('{{$PSEUDO_MASKS:work_dirs/demo/pseudo_masks}}'),
        ),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

epochs = 10
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.03),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.3)}),
)
param_scheduler = dict(
    type='PolyRatioLR',
    power=0.9,
    eta_min_ratio=0.0,
    begin=0,
    end=epochs,
    by_epoch=True,
    convert_to_iter_based=True,
)
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(logger=dict(interval=10))
