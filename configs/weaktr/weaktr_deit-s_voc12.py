"""Stage 0: WeakTr's own training of the mask generator on VOC 2012.

python tools/train.py configs/weaktr/weaktr_deit-s_voc12.py

Validation is on train, where the paper measures seeds. For the mAP of images not trained on:

    --cfg-options val_dataloader.dataset.ann_file=ImageSets/Segmentation/val.txt
"""

_base_ = [
    '../_base_/datasets/voc12_weak.py',
    '../_base_/models/weaktr_deit-s.py',
    '../_base_/schedules/weaktr.py',
    '../_base_/default_runtime.py',
]
model = dict(class_names=_base_.train_dataloader.dataset.type)
# mAP of each prediction needs image-level labels alone; seeds are a diagnostic.
val_evaluator = [dict(type='PredictionMetric'), dict(type='CAMMetric')]
test_evaluator = val_evaluator
