# The demo world: 600 tagged scenes to train on and 200 held out, 64 x 64 pixels. It is drawn into
# data/demo, or the folder DATA_ROOT of the environment, on first use.
_base_ = './loading.py'
data_root = '{{$DATA_ROOT:data/demo}}'
# 1.5 times the training images: on enlarged scenes CAMs are best there (docs/predicting.md).
limit_side = dict(type='LimitSide', max_side=96)
# MMSeg's inference_model looks for this name.
test_pipeline = [
    _base_.load_test_image,
    limit_side,
    dict(type='LoadCheckedAnnotations'),
    dict(type='PackWeakInputs', scales=(1.0, 1.2)),
]
train_set = dict(
    type='DemoDataset',
    data_root=data_root,
    ann_file='ImageSets/train.txt',
    data_prefix=dict(img_path='JPEGImages'),
)
test_set = dict(
    type='DemoDataset',
    data_root=data_root,
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
    pipeline=test_pipeline,
    test_mode=True,
)
train_dataloader = dict(
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **train_set,
        pipeline=[_base_.load_image, dict(type='RandomFlip', prob=0.5), dict(type='PackWeakInputs')],
    ),
)
# During training seeds are evaluated on the held-out scenes, tools/test.py takes the training ones.
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**test_set, ann_file='ImageSets/val.txt'),
)
test_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**test_set, ann_file='ImageSets/train.txt'),
)
# Images and tags, without masks.
pseudo_mask_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **train_set,
        pipeline=[_base_.load_image, limit_side, dict(type='PackWeakInputs', scales=(1.0, 1.2))],
        test_mode=True,
    ),
)
val_evaluator = dict(type='CAMMetric', thresholds=[0.02 * step for step in range(3, 48)])
test_evaluator = val_evaluator
pseudo_mask_evaluator = dict(background_score='auto')
