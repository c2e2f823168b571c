# SemPLeS on DeiT-S and CLIP ViT-B/32, with the values for VOC.
data_preprocessor = dict(
    type='CAMDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
model = dict(
    type='SemPLeS',
    decode_head=dict(type='WeakTrGenerator'),  # for MMSeg's get_flops.py alone
    data_preprocessor=data_preprocessor,
    mask_generator=dict(
        type='WeakTrGenerator',
        num_classes=20,
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
    text_head=dict(
        template='a photo of {}.',
        # The data set's names, three of them as two words, and 'player' for person.
        class_names=[
            'aeroplane',
            'bicycle',
            'bird',
            'boat',
            'bottle',
            'bus',
            'car',
            'cat',
            'chair',
            'cow',
            'dining table',
            'dog',
            'horse',
            'motorbike',
            'player',
            'potted plant',
            'sheep',
            'sofa',
            'train',
            'tv monitor',
        ],
    ),
    prompt_learner=dict(num_tokens=30),
    match_loss=dict(background_weight=2.4),
    prompt_loss=dict(text_weight=0.02),
    refine_loss=dict(weight=0.05),
    background_score=0.43,
)
