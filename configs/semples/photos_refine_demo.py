"""Stage 0 and all three stages on photos of your own with the small models of the demo, for trials.

semples-mmseg fit --weights demo writes a config with this one as its base.
"""

_base_ = 'demo_refine.py'
dataset = dict(
    _delete_=True,
    type='WeakLabelDataset',
    data_root='{{$DATA_ROOT:data/photos}}',
    ann_file='list.txt',
    label_file='labels.json',
    class_names=['first class', 'second class'],
    data_prefix=dict(img_path='images'),
)
train_pipeline = [
    _base_.load_image,
    dict(type='Resize', scale=(64, 64)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWeakInputs'),
]
cams = dict(type='PackWeakInputs', scales=(1.0, 1.2))
test_pipeline = [_base_.load_test_image, _base_.limit_side, cams]
train_dataloader = dict(dataset=dict(**dataset, pipeline=train_pipeline))
pseudo_mask_dataloader = dict(
    dataset=dict(**dataset, pipeline=[_base_.load_image, _base_.limit_side, cams], test_mode=True)
)
test_dataloader = dict(dataset=dict(**dataset, pipeline=test_pipeline, test_mode=True))
# There are no masks to validate by.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_evaluator = dict(_delete_=True, type='PredictionMetric')
model = dict(class_names=dataset['class_names'])
