# Stage 0 on DeiT-S. The ImageNet weights come from torch-hub or MMPretrain.
model = dict(
    type='CAMSegmentor',
    decode_head=dict(type='WeakTrGenerator'),  # for MMSeg's get_flops.py alone
    mask_generator=dict(
        type='WeakTrGenerator',
        backbone=dict(
            type='MultiTokenViT',
            arch='deit-small',
            img_size=224,
            patch_size=16,
            drop_path_rate=0.1,
            init_cfg=dict(
                type='Pretrained', checkpoint='weights:pretrained/deit_small_patch16_224-cd65a155.pth'
            ),
        ),
        fusion=dict(reduction=8, feature_reduction=8, pooling='max'),
    ),
    background_score=0.43,
)
