# PASCAL VOC 2012 for retraining: pseudo masks of train_aug, evaluated on val.
_base_ = ['./pseudo_pipelines.py']

data_root = 'data/VOCdevkit/VOC2012/'
pseudo_masks = 'work_dirs/voc_pseudo_masks'
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CheckedSegDataset',
        like='PascalVOCDataset',
        ann_file=data_root + 'ImageSets/Segmentation/train_aug.txt',
        data_prefix=dict(img_path=data_root + 'JPEGImages', seg_map_path=pseudo_masks),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CheckedSegDataset',
        like='PascalVOCDataset',
        ann_file=data_root + 'ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path=data_root + 'JPEGImages', seg_map_path=data_root + 'SegmentationClass'
        ),
        pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
# tools/test.py --crf
crf = dict(preset='voc')
