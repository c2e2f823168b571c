"""Stage 0 and the three stages of SemPLeS on the CAMs of a ResNet-50.

python tools/train.py configs/semples/generators/voc_cam_resnet50.py

The last stage of the backbone keeps its resolution, so CAMs are a sixteenth of the image's size.
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CAMGenerator',
        in_channels=2048,
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=50,
            strides=(1, 2, 2, 1),
            out_indices=(3,),
            init_cfg=dict(
                type='Pretrained', checkpoint='weights:pretrained/resnet50_8xb32_in1k_20210831-ea4938fc.pth'
            ),
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
