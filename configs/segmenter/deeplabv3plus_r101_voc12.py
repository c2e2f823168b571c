"""DeepLabV3+ with ResNet-101 on the pseudo masks of VOC 2012, with the gradient clipping loss.

python tools/train.py configs/segmenter/deeplabv3plus_r101_voc12.py

pretrained/resnet101_v1c-e67eebb6.pth: MMSegmentation's ImageNet weights (open-mmlab://resnet101_v1c).
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/retrained.py',
    '../_base_/datasets/voc12_pseudo.py',
]
model = dict(
    class_names=_base_.train_dataloader.dataset.class_names,
    backbone=dict(
        type='ResNetV1c',
        depth=101,
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        contract_dilation=True,
        norm_cfg=_base_.norm_cfg,
        init_cfg=dict(
            type='Pretrained', checkpoint='weights:pretrained/resnet101_v1c-e67eebb6.pth'
        ),
    ),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=2048,
        in_index=3,
        channels=512,
        dilations=(1, 12, 24, 36),
        c1_in_channels=256,
        c1_channels=48,
    ),
)
train_dataloader = dict(batch_size=16)
optim_wrapper = _base_.sgd
