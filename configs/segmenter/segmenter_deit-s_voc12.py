"""Retraining on the pseudo masks of VOC 2012 train_aug, evaluated on val (WeakTr, section 3.3).

python tools/make_pseudo_masks.py configs/semples/voc_refine.py CHECKPOINT \\
    --out work_dirs/voc_pseudo_masks --background-score 0.43
python tools/train.py configs/segmenter/segmenter_deit-s_voc12.py

Another folder of masks: --cfg-options train_dataloader.dataset.data_prefix.seg_map_path=FOLDER
"""

_base_ = ['../_base_/default_runtime.py', '../_base_/models/segmenter_deit-s.py']

data_root = 'data/VOCdevkit/VOC2012/'
pseudo_masks = 'work_dirs/voc_pseudo_masks'
crop_size = (480, 480)
scale = (8 * 520, 520)  # the short side becomes 520, unless the long one would pass 4160

# Pillow refuses truncated JPEGs, which some OpenCV versions complete with grey; same pixels.
load_image = dict(type='LoadImageFromFile', imdecode_backend='pillow')
train_pipeline = [
    load_image,
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    load_image,
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='PascalVOCDataset',
        ann_file=data_root + 'ImageSets/Segmentation/train_aug.txt',
        data_prefix=dict(img_path=data_root + 'JPEGImages', seg_map_path=pseudo_masks),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PascalVOCDataset',
        ann_file=data_root + 'ImageSets/Segmentation/val.txt',
        data_prefix=dict(
            img_path=data_root + 'JPEGImages', seg_map_path=data_root + 'SegmentationClass'
        ),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

epochs = 100
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, nesterov=True, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}),
)
# From 1e-4 to 1e-5 (head) and from 1e-5 to 1e-6 (encoder), stepped every iteration.
param_scheduler = dict(
    type='PolyRatioLR',
    power=0.9,
    eta_min_ratio=0.1,
    begin=0,
    end=epochs,
    by_epoch=True,
    convert_to_iter_based=True,
)
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=10)
val_cfg = dict()
test_cfg = dict()
