"""Segment-label matching on COCO 2014, stage (a).

python tools/train.py configs/semples/coco_match.py
"""

_base_ = [
    '../_base_/datasets/coco14_weak.py',
    '../_base_/models/semples_deit-s_coco.py',
    '../_base_/schedules/semples.py',
    '../_base_/default_runtime.py',
]
model = dict(class_names=_base_.train_dataloader.dataset.type)
val_evaluator = dict(type='CAMMetric')
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=5.12e-6 * 32 / 512))
stages = [dict(name='match', epochs=60, batch_size=32)]
