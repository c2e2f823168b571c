"""Stage 0: WeakTr's own training of the mask generator on COCO 2014.

python tools/train.py configs/weaktr/weaktr_deit-s_coco14.py
"""

_base_ = [
    '../_base_/datasets/coco14_weak.py',
    '../_base_/models/weaktr_deit-s.py',
    '../_base_/schedules/weaktr.py',
    '../_base_/default_runtime.py',
]
model = dict(
    class_names=_base_.train_dataloader.dataset.type,
    mask_generator=dict(fusion=dict(reduction=4, pooling='mean')),
    background_score=0.42,
)
optim_wrapper = dict(optimizer=dict(lr=2e-4 * 64 / 512))
# mAP of each prediction needs image-level labels alone; seeds are a diagnostic.
val_evaluator = [dict(type='PredictionMetric'), dict(type='CAMMetric')]
test_evaluator = val_evaluator
