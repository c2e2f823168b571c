"""SegNeXt-B on the same pseudo masks, with the gradient clipping loss: a strong convolutional model
that needs no compiled operators.

pretrained/mscan_b_20230227-3ab7d230.pth: MMSegmentation's ImageNet weights of MSCAN-B. Schedule and
head are MMSegmentation's for SegNeXt, shortened to about 40k iterations of batch 16.
"""

_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/segmenter_deit-s.py',
    '../_base_/datasets/voc12_pseudo.py',
]

model = dict(
    class_names=_base_.train_dataloader.dataset.class_names,
    backbone=dict(
        _delete_=True,
        type='MSCAN',
        embed_dims=[64, 128, 320, 512],
        depths=[3, 3, 12, 3],
        mlp_ratios=[8, 8, 4, 4],
        drop_path_rate=0.1,
        norm_cfg=dict(type='BN'),
        init_cfg=dict(
            type='Pretrained', checkpoint='weights:pretrained/mscan_b_20230227-3ab7d230.pth'
        ),
    ),
    decode_head=dict(
        _delete_=True,
        type='LightHamHead',
        in_channels=[128, 320, 512],
        in_index=[1, 2, 3],
        channels=512,
        ham_channels=512,
        ham_kwargs=dict(MD_S=1, MD_R=16, train_steps=6, eval_steps=7, inv_t=100, rand_init=True),
        dropout_ratio=0.1,
        norm_cfg=dict(type='GN', num_groups=32),
        align_corners=False,
        loss_decode=dict(type='GradientClippingLoss', start=1.2, tile=120),
    ),
)
train_dataloader = dict(batch_size=16)

epochs = 60
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'pos_block': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0),
            'head': dict(lr_mult=10.0),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(
        type='PolyLR',
        power=1.0,
        eta_min=0.0,
        begin=0,
        end=epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
