"""DeepLab-LargeFOV with ResNet-38 on the pseudo masks of VOC 2012, with the gradient clipping loss.

python tools/train.py configs/segmenter/deeplab-largefov_resnet38_voc12.py

MMSegmentation has no ResNet-38; it is the package's own `ResNet38`, whose published ImageNet weights are
in MXNet's format. The checkpoint has the names of `ResNet38`.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/retrained.py',
    '../_base_/datasets/voc12_pseudo.py',
]
model = dict(
    class_names=_base_.train_dataloader.dataset.class_names,
    backbone=dict(
        type='ResNet38',
        init_cfg=dict(type='Pretrained', checkpoint='weights:pretrained/resnet38.safetensors'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=4096,
        in_index=0,
        channels=512,
        num_convs=1,
        dilation=12,
        concat_input=False,
    ),
)
train_dataloader = dict(batch_size=16)
optim_wrapper = _base_.sgd
