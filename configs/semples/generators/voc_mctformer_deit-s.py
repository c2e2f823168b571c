"""Stage 0 and the three stages of SemPLeS on MCTformer (arXiv 2203.02891).

python tools/train.py configs/semples/generators/voc_mctformer_deit-s.py
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='MCTformerGenerator',
        backbone=dict(
            type='MultiTokenViT',
            arch='deit-small',
            init_cfg=dict(
                type='Pretrained', checkpoint='weights:pretrained/deit_small_patch16_224-cd65a155.pth'
            ),
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
