# COCO 2014 for retraining: pseudo masks of train, evaluated on val; files as
# tools/dataset_converters/coco14.py leaves them. The environment variables DATA_ROOT and PSEUDO_MASKS
# name other folders.
_base_ = ['./pseudo_pipelines.py']
import os

data_root = '{{$DATA_ROOT:data/coco}}'
dataset = dict(type='CheckedSegDataset', data_root=data_root, class_names='WeakCOCODataset')
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    worker_init_fn=dict(type='seed_worker'),
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/train.txt',
        data_prefix=dict(
            img_path='train2014',
            # Absolute, because relative folders are in data_root.
            seg_map_path=os.path.abspath('{{$PSEUDO_MASKS:work_dirs/coco_pseudo_masks}}'),
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
        ann_file='ImageSets/val.txt',
        data_prefix=dict(img_path='val2014', seg_map_path='masks/val2014'),
        pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
# tools/test.py --crf
crf = dict(preset='coco')
