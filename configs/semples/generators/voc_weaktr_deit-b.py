"""Stage 0 and the three stages of SemPLeS on WeakTr with DeiT-B.

python tools/train.py configs/semples/generators/voc_weaktr_deit-b.py
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='WeakTrGenerator',
        backbone=dict(
            type='MultiTokenViT',
            arch='deit-base',
            init_cfg=dict(
                type='Pretrained', checkpoint='weights:pretrained/deit_base_patch16_224-b5f2ef4d.pth'
            ),
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
