"""Stages (a), (b) and (c) on a data set of the study, from the weights of stage 0.

DATA_ROOT=data/real_photos/msrc python tools/train.py projects/real_photos/configs/semples.py \
    --cfg-options load_from=CLASSIFY.pth
"""

_base_ = ['../../../configs/semples/photos_refine_small.py', 'data.py']
# Training photos have 176 pixels, for CLIP too: a third of the time of 224.
crop = dict(type='FastResizedCrop', scale=176, crop_ratio_range=(0.3, 1.0))
flip, limit_side = dict(type='RandomFlip', prob=0.5), dict(type='LimitSide', max_side=320)
cams, masks = dict(type='PackWeakInputs', scales=(1.0,)), dict(type='LoadCheckedAnnotations')
train_dataloader = dict(
    num_workers=0,
    dataset=dict(
        **_base_.data,
        ann_file='train.txt',
        pipeline=[_base_.load_image, crop, flip, dict(type='PackWeakInputs')],
    ),
)
pseudo_mask_dataloader = dict(
    num_workers=0,
    dataset=dict(
        **_base_.data, ann_file='train.txt', pipeline=[_base_.load_image, limit_side, cams]
    ),
)
# For measuring alone.
test_dataloader = dict(
    num_workers=0,
    dataset=dict(
        **_base_.measured,
        ann_file='scored.txt',
        pipeline=[_base_.load_test_image, limit_side, masks, cams],
    ),
)
model = dict(
    class_names=_base_.data.class_names,
    image_head=dict(input_size=176),
    losses=dict(refine=dict(weight=0.2)),
)
default_hooks = dict(logger=dict(interval=10))
head, backbone = dict(optimizer=dict(lr=1e-3)), 'mask_generator.backbone.timm_model.blocks.'
slow = dict(custom_keys=dict(backbone=dict(lr_mult=0.2)))
first = dict(
    name='classify',
    # The first blocks take half of the time.
    trains=['mask_generator.head', *(backbone + str(block) for block in range(2, 7))],
    epochs=6,
    batch_size=16,
    optim_wrapper=dict(optimizer=dict(lr=3e-3), paramwise_cfg=slow),
)
prompts, again = dict(optimizer=dict(lr=0.1)), dict(mask_generator='match')
stages = [
    dict(name='match', epochs=3, batch_size=16, optim_wrapper=head),
    dict(name='prompt', epochs=6, batch_size=16, optim_wrapper=prompts),
    dict(name='refine', epochs=3, batch_size=16, optim_wrapper=head, restore=again),
]
