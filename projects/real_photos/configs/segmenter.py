"""Retraining on pseudo masks (PSEUDO_MASKS=FOLDER), tested on the photos that were held out.

DATA_ROOT=data/real_photos/msrc python tools/train.py projects/real_photos/configs/segmenter.py
"""

_base_ = ['../../../configs/segmenter/segmenter_photos_small.py', 'data.py']
dataset = dict(data_root=_base_.root, class_names=_base_.data.class_names)
train_dataloader = dict(num_workers=0, dataset=dict(**dataset, ann_file='train.txt'))
train_dataloader['dataset']['data_prefix'] = dict(img_path='photos')
# Photos of the training, without masks: predictions measure the confidence.
test_dataloader = dict(num_workers=0, dataset=dict(**_base_.data, ann_file='scored.txt'))
*load, pack = _base_.test_pipeline
val_dataloader = dict(
    _delete_=True,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CheckedSegDataset',
        **_base_.measured,
        ann_file='held.txt',
        pipeline=[*load, dict(type='LoadCheckedAnnotations'), pack],
        test_mode=True,
    ),
)
val_cfg = dict(_delete_=True)
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
model = dict(class_names=_base_.data.class_names)
train_cfg, param_scheduler = dict(max_epochs=4, val_interval=4), dict(end=4)
