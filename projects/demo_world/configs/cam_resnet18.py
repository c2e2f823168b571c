"""The demo with the CAMs of a narrow ResNet-18 as generator; maps are an eighth of the image."""

_base_ = '../../../configs/semples/demo_refine.py'
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CAMGenerator',
        in_channels=128,
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=18,
            stem_channels=16,
            base_channels=16,
            strides=(1, 2, 1, 1),
            out_indices=(3,),
            init_cfg=dict(type='Pretrained', checkpoint='weights:demo_resnet.safetensors'),
        ),
    )
)
