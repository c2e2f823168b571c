"""Stage 0 on a data set of the study: the mask generator alone, without CLIP.

DATA_ROOT=data/real_photos/msrc python tools/train.py projects/real_photos/configs/stage_0.py
"""

_base_ = 'semples.py'
model = dict(
    _delete_=True,
    type='CAMSegmentor',
    mask_generator=_base_.model.mask_generator,
    class_names=_base_.data.class_names,
)
stages = [_base_.first]
