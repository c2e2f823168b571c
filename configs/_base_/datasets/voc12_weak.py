"""PASCAL VOC 2012 with image-level labels: training on train_aug, seeds evaluated on train.

Beside the plain download (JPEGImages, Annotations, ImageSets) this needs the usual augmented set:
ImageSets/Segmentation/train_aug.txt (10582 ids) and the masks SegmentationClassAug (evaluation
only). Without them, the 1464 images of train and their own masks do:

    --cfg-options train_dataloader.dataset.ann_file=ImageSets/Segmentation/train.txt \
        val_dataloader.dataset.data_prefix.seg_map_path=SegmentationClass \
        test_dataloader.dataset.data_prefix.seg_map_path=SegmentationClass

Labels are read from the XML annotations; `label_file` takes a JSON file instead.
"""

_base_ = './weak_pipelines.py'
data_root = 'data/VOCdevkit/VOC2012'
test_pipeline = [
    _base_.load_test_image,
    dict(type='LoadCheckedAnnotations'),
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
        pipeline=_base_.stage_match_pipeline,
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
        pipeline=[_base_.load_image, dict(type='PackWeakInputs', scales=(1.0, 1.2))],
        test_mode=True,
    ),
)
pseudo_mask_evaluator = dict(background_score=0.43, refine=dict(type='DenseCRF', preset='voc'))
