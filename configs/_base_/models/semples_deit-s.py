# SemPLeS on DeiT-S and CLIP ViT-B/32, with the values for VOC.
model = dict(
    type='SemPLeS',
    decode_head=dict(type='WeakTrGenerator'),  # for MMSeg's get_flops.py alone
    mask_generator=dict(
        type='WeakTrGenerator',
        backbone=dict(
            type='MultiTokenViT',
            arch='deit-small',
            img_size=224,
            patch_size=16,
            drop_path_rate=0.1,
        ),
        fusion=dict(reduction=8, feature_reduction=8, pooling='max'),
        # Trained by configs/weaktr/weaktr_deit-s_voc12.py.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='weights:pretrained/weaktr_deit-s_voc12.pth',
            prefix='mask_generator.',
        ),
    ),
    clip=dict(model='ViT-B-32', pretrained='openai'),
    image_head=dict(normalization='clip'),
    text_head=dict(template='a photo of {}.'),
    prompt_learner=dict(num_tokens=30),
    losses=dict(
        match=dict(type='MatchLoss', background_weight=2.4),
        prompt=dict(type='PromptLoss', text_weight=0.02),
        refine=dict(type='RefineLoss', weight=0.05),
    ),
    background_score=0.43,
)
