"""Retraining on the pseudo masks of COCO 2014 train, evaluated on val: 80 classes and background.

python tools/train.py configs/segmenter/segmenter_deit-s_coco14.py
python tools/test.py configs/segmenter/segmenter_deit-s_coco14.py CHECKPOINT [--tta] [--crf]

Another folder of masks: PSEUDO_MASKS=FOLDER in the environment
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/segmenter_deit-s.py',
    '../_base_/datasets/coco14_pseudo.py',
    '../_base_/schedules/segmenter.py',
]
model = dict(class_names=_base_.train_dataloader.dataset.class_names)
