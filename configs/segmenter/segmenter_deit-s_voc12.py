"""Retraining on the pseudo masks of VOC 2012 train_aug, evaluated on val (WeakTr, section 3.3).

python tools/make_pseudo_masks.py configs/semples/voc_refine.py CHECKPOINT --out \\
    work_dirs/voc_pseudo_masks
python tools/train.py configs/segmenter/segmenter_deit-s_voc12.py
python tools/test.py configs/segmenter/segmenter_deit-s_voc12.py CHECKPOINT [--tta] [--crf]

Another folder of masks: PSEUDO_MASKS=FOLDER in the environment
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/segmenter_deit-s.py',
    '../_base_/datasets/voc12_pseudo.py',
    '../_base_/schedules/segmenter.py',
]
model = dict(class_names=_base_.train_dataloader.dataset.class_names)
