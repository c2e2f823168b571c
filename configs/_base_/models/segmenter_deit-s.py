# Segmenter on DeiT-S/16 with the gradient clipping loss (WeakTr, section 3.3). Needs the ImageNet
# weights of torch-hub or MMPretrain (below), whose 14 x 14 position embeddings are resized.
crop_size = (480, 480)
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=crop_size,
    pad_val=0,
    seg_pad_val=255,
)
model = dict(
    type='WindowedEncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch='deit-small',
        img_size=480,
        patch_size=16,
        out_type='featmap',
        interpolate_mode='bilinear',
        drop_path_rate=0.1,
        norm_cfg=dict(type='LN', eps=1e-5),  # as published here; DeiT's own is 1e-6
        init_cfg=dict(
            type='Pretrained', checkpoint='weights:pretrained/deit_small_patch16_224-cd65a155.pth'
        ),
    ),
    decode_head=dict(
        type='SegmenterMaskTransformerHead',
        in_channels=384,
        channels=384,
        num_layers=2,
        num_heads=6,
        embed_dims=384,
        drop_rate=0.1,
        attn_drop_rate=0.1,
        drop_path_rate=0.0,
        dropout_ratio=0.0,  # that of the convolutional classifier, which this head lacks
        loss_decode=dict(type='GradientClippingLoss', start=1.2, tile=120),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(320, 320)),
)
