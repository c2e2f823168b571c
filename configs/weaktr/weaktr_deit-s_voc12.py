"""Stage 0: WeakTr's own training of the mask generator on VOC 2012.

python tools/train.py configs/weaktr/weaktr_deit-s_voc12.py
"""

_base_ = [
    '../_base_/datasets/voc12_weak.py',
    '../_base_/models/weaktr_deit-s.py',
    '../_base_/schedules/weaktr.py',
    '../_base_/default_runtime.py',
]
val_evaluator = dict(type='CAMMetric')
test_evaluator = val_evaluator
