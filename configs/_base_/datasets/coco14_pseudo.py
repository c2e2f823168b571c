# COCO 2014 for retraining: pseudo masks of train, evaluated on val; files as
# tools/dataset_converters/coco14.py leaves them.
_base_ = ['./pseudo_pipelines.py']

data_root = 'data/coco/'
pseudo_masks = 'work_dirs/coco_pseudo_masks'
dataset = dict(type='CheckedSegDataset', like='WeakCOCODataset')
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file=data_root + 'ImageSets/train.txt',
        data_prefix=dict(img_path=data_root + 'train2014', seg_map_path=pseudo_masks),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file=data_root + 'ImageSets/val.txt',
        data_prefix=dict(
            img_path=data_root + 'val2014', seg_map_path=data_root + 'masks/val2014'
        ),
        pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
# tools/test.py --crf
crf = dict(preset='coco')
