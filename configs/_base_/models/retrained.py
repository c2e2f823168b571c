# What MMSeg's models share that are retrained on pseudo masks: windows, normalisation of images, and
# the gradient clipping loss. model.decode_head.loss_decode.start=0 is the plain cross entropy.
crop_size = (480, 480)
norm_cfg = dict(type='BN', requires_grad=True)  # SyncBN where several GPUs have small batches
model = dict(
    type='WindowedEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=crop_size,
        pad_val=0,
        seg_pad_val=255,
    ),
    decode_head=dict(
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='GradientClippingLoss', start=1.2, tile=120),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(320, 320)),
)
epochs = 60
param_scheduler = dict(
    type='PolyLR',
    power=0.9,
    eta_min=0.0,
    begin=0,
    end=epochs,
    by_epoch=True,
    convert_to_iter_based=True,
)
sgd = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=7e-3, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10.0)}),
)
adamw = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0),
            'head': dict(lr_mult=10.0),
        }
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=5)
val_cfg = dict()
test_cfg = dict()
