# SemPLeS on DeiT-S and CLIP ViT-B/32, with the values for COCO.
_base_ = './semples_deit-s.py'
model = dict(
    mask_generator=dict(
        fusion=dict(reduction=4, pooling='mean'),
        # Trained by configs/weaktr/weaktr_deit-s_coco14.py.
        init_cfg=dict(checkpoint='weights:pretrained/weaktr_deit-s_coco14.pth'),
    ),
    # The weight of refine is the paper's; the published settings for COCO have 0.2.
    losses=dict(match=dict(background_weight=0.75), prompt=dict(text_weight=0.01)),
    background_score=0.42,
)
