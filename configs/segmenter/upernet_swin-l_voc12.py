"""UPerNet with Swin-L (ImageNet-22k) on the pseudo masks of VOC 2012, with the gradient clipping loss.

python tools/train.py configs/segmenter/upernet_swin-l_voc12.py

pretrained/swin_large_patch4_window7_224_22k_20220412-aeecf2aa.pth: MMSegmentation's weights of Swin-L.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/retrained.py',
    '../_base_/datasets/voc12_pseudo.py',
]
model = dict(
    class_names=_base_.train_dataloader.dataset.class_names,
    backbone=dict(
        type='SwinTransformer',
        embed_dims=192,
        depths=[2, 2, 18, 2],
        num_heads=[6, 12, 24, 48],
        window_size=7,
        drop_path_rate=0.3,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='weights:pretrained/swin_large_patch4_window7_224_22k_20220412-aeecf2aa.pth',
        ),
    ),
    decode_head=dict(
        type='UPerHead',
        in_channels=[192, 384, 768, 1536],
        in_index=[0, 1, 2, 3],
        channels=512,
    ),
)
train_dataloader = dict(batch_size=16)
optim_wrapper = _base_.adamw
