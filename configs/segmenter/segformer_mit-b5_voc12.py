"""SegFormer-B5 on the pseudo masks of VOC 2012, with the gradient clipping loss.

python tools/train.py configs/segmenter/segformer_mit-b5_voc12.py

pretrained/mit_b5_20220624-658746d9.pth: MMSegmentation's ImageNet weights of MiT-B5.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/retrained.py',
    '../_base_/datasets/voc12_pseudo.py',
]
model = dict(
    class_names=_base_.train_dataloader.dataset.class_names,
    backbone=dict(
        type='MixVisionTransformer',
        embed_dims=64,
        num_heads=[1, 2, 5, 8],
        num_layers=[3, 6, 40, 3],
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained', checkpoint='weights:pretrained/mit_b5_20220624-658746d9.pth'
        ),
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
    ),
)
train_dataloader = dict(batch_size=16)
optim_wrapper = _base_.adamw
