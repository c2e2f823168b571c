"""Stage 0 and the three stages of SemPLeS on the CAMs of a ResNet-38.

python tools/train.py configs/semples/generators/voc_cam_resnet38.py

The published ImageNet weights of this network are in MXNet's format, which is not read here: the
checkpoint has the names of `ResNet38`. Without one: model.mask_generator.backbone.init_cfg=None.
"""

_base_ = ['../voc_refine.py', '../../_base_/schedules/stage_0.py']
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CAMGenerator',
        in_channels=4096,
        backbone=dict(
            type='ResNet38',
            init_cfg=dict(type='Pretrained', checkpoint='weights:pretrained/resnet38.safetensors'),
        ),
    )
)
stages = [_base_.stage_0] + _base_.stages
