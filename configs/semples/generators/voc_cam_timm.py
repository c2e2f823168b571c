"""Stage 0 and the three stages of SemPLeS on the CAMs of any backbone of timm.

python tools/train.py configs/semples/generators/voc_cam_timm.py

model_name is any name in timm whose model gives feature maps; pretrained=True downloads its weights,
pretrained_cfg_overlay=dict(file=PATH) takes them from a file. Vision transformers also need
size_divisor (their patch) and dynamic_img_size=True: voc_cam_timm-vit.py.
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CAMGenerator',
        backbone=dict(
            type='mmpretrain.TIMMBackbone',
            model_name='convnext_tiny.fb_in1k',
            features_only=True,
            pretrained=True,
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
