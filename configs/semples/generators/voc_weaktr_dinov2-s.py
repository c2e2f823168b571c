"""Stage 0 and the three stages of SemPLeS on WeakTr with DINOv2-S.

python tools/train.py configs/semples/generators/voc_weaktr_dinov2-s.py

Patches of 14 pixels: 16 x 16 of them in a training image. The weights come from torch-hub or timm,
whose 37 x 37 position embeddings are resized.
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='WeakTrGenerator',
        backbone=dict(
            type='MultiTokenViT',
            arch='dinov2-small',
            patch_size=14,
            layer_scale=1e-5,
            init_cfg=dict(
                type='Pretrained', checkpoint='weights:pretrained/dinov2_vits14_pretrain.pth'
            ),
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
