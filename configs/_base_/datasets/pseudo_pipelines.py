# Pipelines of retraining on pseudo masks: short side 520, crops of 480 (WeakTr, section 3.3).
_base_ = './loading.py'
scale = (8 * 520, 520)  # the short side becomes 520, unless the long one would pass 4160

# The photos of VOC and COCO are smaller: they are computed as they are.
limit_side = dict(type='LimitSide', max_side=640)
train_pipeline = [
    _base_.load_image,
    dict(type='LoadCheckedAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(480, 480), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# PackWeakInputs takes image-level labels along where a data set has them.
test_pipeline = [
    _base_.load_test_image,
    limit_side,
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadCheckedAnnotations'),
    dict(type='PackWeakInputs'),
]

# tools/test.py --tta: short side 260, 390, ..., 910, each with its mirror image.
tta_sizes = [
    dict(type='Resize', scale=(8 * side, side), keep_ratio=True)
    for side in (260, 390, 520, 650, 780, 910)
]
tta_flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
tta_model = dict(type='ProbabilityTTA')
tta_pipeline = [
    _base_.load_image,
    limit_side,
    dict(
        type='TestTimeAug',
        transforms=[
            tta_sizes,
            tta_flips,
            [dict(type='LoadCheckedAnnotations')],
            [dict(type='PackWeakInputs')],
        ],
    ),
]
