"""Stages (a), (b) and (c) on a data set of the study, from the weights of stage 0.

DATA_ROOT=data/real_photos/msrc python tools/train.py projects/real_photos/configs/semples.py \
    --cfg-options load_from=CLASSIFY.pth
"""

_base_ = ['../../../configs/semples/photos_refine_small.py', 'data.py']
masks, cams = dict(type='LoadCheckedAnnotations'), dict(type='PackWeakInputs', scales=(1.0,))
train_dataloader = dict(
    num_workers=0,
    dataset=dict(**_base_.data, ann_file='train.txt', pipeline=_base_.train_pipeline),
)
pseudo_mask_dataloader = dict(
    num_workers=0,
    dataset=dict(
        **_base_.data, ann_file='train.txt', pipeline=[_base_.load_image, _base_.limit_side, cams]
    ),
)
# For measuring alone.
test_dataloader = dict(
    num_workers=0,
    dataset=dict(
        **_base_.measured,
        ann_file='scored.txt',
        pipeline=[_base_.load_test_image, _base_.limit_side, masks, cams],
    ),
)
model = dict(class_names=_base_.data.class_names)
default_hooks = dict(logger=dict(interval=10))
# The rate that the study was run with.
rate = dict(_base_.stages[0]['optim_wrapper'], optimizer=dict(lr=3e-3))
first = dict(_base_.stages[0], optim_wrapper=rate)
lengths = dict(match=3, prompt=6, refine=3)
stages = [dict(stage, epochs=lengths[stage['name']], batch_size=16) for stage in _base_.stages[1:]]
