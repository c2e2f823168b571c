"""Stage 0 and the three stages of SemPLeS on the CAMs of a vision transformer of timm's.

python tools/train.py configs/semples/generators/voc_cam_timm-vit.py

pretrained=True downloads the weights; pretrained_cfg_overlay=dict(file=PATH) takes them from a file.
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CAMGenerator',
        size_divisor=16,
        backbone=dict(
            type='mmpretrain.TIMMBackbone',
            model_name='vit_small_patch16_224.augreg_in21k',
            features_only=True,
            out_indices=(-1,),
            dynamic_img_size=True,
            pretrained=True,
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
