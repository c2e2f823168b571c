# What training images go through in each stage, for VOC and COCO alike.
_base_ = './loading.py'
img_size = 224
bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]

# The photos of VOC and COCO are smaller: they are computed as they are.
limit_side = dict(type='LimitSide', max_side=640)
random_crop = dict(type='FastResizedCrop', scale=img_size)
# Of the published runs; values differ by 1 of 255.
pillow_crop = dict(
    type='mmpretrain.RandomResizedCrop', scale=img_size, backend='pillow', interpolation='bicubic'
)

# DeiT's augmentation (rand-m9-mstd0.5-inc1, random erasing with normal noise per pixel):
# stage 0, match and refine.
stage_match_pipeline = [
    _base_.load_image,
    random_crop,
    dict(type='RandomFlip', prob=0.5),
    dict(
        # The operations inside are looked up by their bare names, hence the scope.
        type='RandAugment',
        _scope_='mmpretrain',
        policies='timm_increasing',
        num_policies=2,
        magnitude_level=9,
        magnitude_std=0.5,
        total_level=10,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    ),
    dict(
        type='mmpretrain.RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=bgr_mean,
        fill_std=bgr_std,
    ),
    dict(type='PackWeakInputs'),
]
stage_prompt_pipeline = [
    _base_.load_image,
    random_crop,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWeakInputs'),
]
