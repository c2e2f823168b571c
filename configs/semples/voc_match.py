"""Segment-label matching on VOC 2012, stage (a).

python tools/train.py configs/semples/voc_match.py
"""

_base_ = [
    '../_base_/datasets/voc12_weak.py',
    '../_base_/models/semples_deit-s.py',
    '../_base_/schedules/semples.py',
    '../_base_/default_runtime.py',
]
model = dict(class_names=_base_.train_dataloader.dataset.type)
val_evaluator = dict(type='CAMMetric')
test_evaluator = val_evaluator
stages = [dict(name='match', epochs=60, batch_size=64)]
