# The demo's small models: a transformer of 64-pixel images and a tiny CLIP, both shipped with the
# package. Values that differ from the paper's are marked.
mask_generator = dict(
    type='WeakTrGenerator',
    backbone=dict(
        type='MultiTokenViT',
        arch=dict(embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=256),
        img_size=64,
        patch_size=8,
        drop_path_rate=0.0,
        patch_cfg=dict(conv_type='ConvStem'),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='weights:semples_mmseg::demo/models/demo_backbone.safetensors',
        ),
    ),
    fusion=dict(reduction=4, feature_reduction=8, pooling='max'),
)
model = dict(
    type='SemPLeS',
    decode_head=dict(type='WeakTrGenerator'),  # for MMSeg's get_flops.py alone
    mask_generator=mask_generator,
    clip=dict(
        model='semples_mmseg::demo/models/demo_clip.json',
        pretrained='semples_mmseg::demo/models/demo_clip.safetensors',
    ),
    image_head=dict(normalization='clip'),
    prompt_learner=dict(num_tokens=30),
    losses=dict(
        match=dict(type='MatchLoss', background_weight=1.0),  # paper: 2.4
        prompt=dict(type='PromptLoss', text_weight=0.6),  # paper: 0.02
        refine=dict(type='RefineLoss', weight=1.0),  # paper: 0.05
    ),
)
