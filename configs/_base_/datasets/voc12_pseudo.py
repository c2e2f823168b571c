# PASCAL VOC 2012 for retraining: pseudo masks of train_aug, evaluated on val. The environment
# variables DATA_ROOT and PSEUDO_MASKS name other folders.
_base_ = ['./pseudo_pipelines.py']
import os

data_root = '{{$DATA_ROOT:data/VOCdevkit/VOC2012}}'
dataset = dict(type='CheckedSegDataset', data_root=data_root, class_names='WeakVOCDataset')
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    worker_init_fn=dict(type='seed_worker'),
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/Segmentation/train_aug.txt',
        data_prefix=dict(
            img_path='JPEGImages',
            # Absolute, because relative folders are in data_root.
            seg_map_path=os.path.abspath('{{$PSEUDO_MASKS:work_dirs/voc_pseudo_masks}}'),
        ),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
# tools/test.py --crf
crf = dict(preset='voc')
