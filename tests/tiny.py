"""Tiny configs that build in milliseconds."""

TINY_CLIP = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, layers=2, width=32, patch_size=16, head_width=16),
    text_cfg=dict(context_length=77, vocab_size=49408, width=24, heads=2, layers=2),
)
TINY_GENERATOR = dict(
    type='WeakTrGenerator',
    num_classes=3,
    backbone=dict(
        type='MultiTokenViT',
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48),
        img_size=64,
        patch_size=16,
        drop_path_rate=0.0,
    ),
    fusion=dict(reduction=2, feature_reduction=4, pooling='max'),
)
TINY_SEMPLES = dict(
    type='SemPLeS',
    mask_generator=TINY_GENERATOR,
    clip=dict(model=TINY_CLIP, pretrained=None),
    class_names=['cat', 'dog', 'tvmonitor|tv monitor'],
    prompt_learner=dict(num_tokens=4),
    stage='match',
    losses=dict(
        match=dict(type='MatchLoss'), prompt=dict(type='PromptLoss'), refine=dict(type='RefineLoss')
    ),
)
