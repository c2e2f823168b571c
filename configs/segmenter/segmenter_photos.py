"""Retraining on the pseudo masks of photos of your own, from ImageNet's DeiT-S.

semples-mmseg fit writes a config with this one as its base: its data, classes and lengths.
"""

_base_ = 'segmenter_deit-s_voc12.py'
import os

dataset = dict(
    _delete_=True,
    type='CheckedSegDataset',
    data_root='{{$DATA_ROOT:data/photos}}',
    ann_file='list.txt',
    class_names=['first class', 'second class'],
)
train_pipeline = [dict(type='SeedEachImage'), *_base_.train_pipeline]  # loader processes stay
train_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='images',
            # Absolute, because relative folders are in data_root.
            seg_map_path=os.path.abspath('{{$PSEUDO_MASKS:work_dirs/photos_masks}}'),
        ),
        pipeline=train_pipeline,
    )
)
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'LoadCheckedAnnotations']
test_dataloader = dict(
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='images'),
        pipeline=test_pipeline,
        test_mode=True,
    )
)
# There are no masks to validate by.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
model = dict(class_names=dataset['class_names'])
model['backbone'] = dict(init_cfg=dict(checkpoint='timm:deit_small_patch16_224.fb_in1k'))
