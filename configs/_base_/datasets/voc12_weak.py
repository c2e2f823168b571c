"""PASCAL VOC 2012 with image-level labels: training on train_aug, seeds evaluated on train.

DATA_ROOT=FOLDER in the environment names another folder. Beside the plain download (JPEGImages,
Annotations, ImageSets) this needs the usual augmented set:
ImageSets/Segmentation/train_aug.txt (10582 ids) and the masks SegmentationClassAug (evaluation
only). Without them, the 1464 images of train and their own masks do:

    --cfg-options train_dataloader.dataset.ann_file=ImageSets/Segmentation/train.txt \
        val_dataloader.dataset.data_prefix.seg_map_path=SegmentationClass \
        test_dataloader.dataset.data_prefix.seg_map_path=SegmentationClass

Labels are read from the XML annotations; `label_file` takes a JSON file instead.
"""

_base_ = './weak_pipelines.py'
dataset = dict(
    type='WeakVOCDataset', data_root='{{$DATA_ROOT:data/VOCdevkit/VOC2012}}', label_file=None
)
scales = (1.0, 1.2)
# MMSeg's inference_model looks for this name.
test_pipeline = [
    _base_.load_test_image,
    _base_.limit_side,
    dict(type='LoadCheckedAnnotations'),
    dict(type='PackWeakInputs', scales=scales),
]

train_dataloader = dict(
    num_workers=4,
    # The workers of an epoch take their seeds from it, so a resumed run draws the same numbers as an
    # unbroken one.
    worker_init_fn=dict(type='seed_worker'),
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/Segmentation/train_aug.txt',
        data_prefix=dict(img_path='JPEGImages'),
        pipeline=_base_.stage_match_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/Segmentation/train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
# Images and labels, without masks.
pseudo_mask_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file='ImageSets/Segmentation/train_aug.txt',
        data_prefix=dict(img_path='JPEGImages'),
        pipeline=[
            _base_.load_image,
            _base_.limit_side,
            dict(type='PackWeakInputs', scales=scales),
        ],
        test_mode=True,
    ),
)
pseudo_mask_evaluator = dict(refine=dict(type='DenseCRF', preset='voc'))
