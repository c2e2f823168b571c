"""PASCAL VOC 2012 with image-level labels: training on train_aug, seeds evaluated on train.

Beside the plain download (JPEGImages, Annotations, ImageSets) this needs the usual augmented set:
ImageSets/Segmentation/train_aug.txt (10582 ids) and the masks SegmentationClassAug (evaluation
only). Without them, the 1464 images of train and their own masks do:

    --cfg-options train_dataloader.dataset.ann_file=ImageSets/Segmentation/train.txt \
        val_dataloader.dataset.data_prefix.seg_map_path=SegmentationClass \
        test_dataloader.dataset.data_prefix.seg_map_path=SegmentationClass

Labels are read from the XML annotations; `label_file` takes a JSON file instead.
"""

data_root = 'data/VOCdevkit/VOC2012'
img_size = 224
bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]

# Pillow refuses truncated JPEGs, which some OpenCV versions silently complete; same pixels.
load_image = dict(type='LoadImageFromFile', imdecode_backend='pillow')
random_crop = dict(
    type='mmpretrain.RandomResizedCrop', scale=img_size, backend='pillow', interpolation='bicubic'
)

# DeiT's augmentation (rand-m9-mstd0.5-inc1, random erasing with normal noise per pixel):
# stage 0, match and refine.
stage_match_pipeline = [
    load_image,
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
    load_image,
    random_crop,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWeakInputs'),
]
test_pipeline = [
    load_image,
    dict(type='LoadAnnotations'),
    dict(type='PackWeakInputs', scales=(1.0, 1.2)),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    # New workers each epoch take their seeds from it, so a resumed run draws what an unbroken one
    # does.
    worker_init_fn=dict(type='seed_worker'),
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='WeakVOCDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train_aug.txt',
        label_file=None,
        data_prefix=dict(img_path='JPEGImages'),
        pipeline=stage_match_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WeakVOCDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train.txt',
        label_file=None,
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
# Images and their labels alone, without masks.
pseudo_mask_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WeakVOCDataset',
        data_root=data_root,
        ann_file='ImageSets/Segmentation/train_aug.txt',
        label_file=None,
        data_prefix=dict(img_path='JPEGImages'),
        pipeline=[load_image, dict(type='PackWeakInputs', scales=(1.0, 1.2))],
        test_mode=True,
    ),
)
pseudo_mask_evaluator = dict(background_score=0.43)
