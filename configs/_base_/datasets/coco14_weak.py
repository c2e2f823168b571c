"""COCO 2014 with image-level labels: training on train2014, seeds evaluated on val2014.

Files as tools/dataset_converters/coco14.py leaves them (docs/data_coco.md). Masks are opened by
evaluation alone: during training on the first 1000 images of val, by tools/test.py on all of val.
Seeds on train, as other papers report them, need its masks (--masks train val) and

    --cfg-options test_dataloader.dataset.ann_file=ImageSets/train.txt \
        test_dataloader.dataset.label_file=labels_train.json \
        test_dataloader.dataset.data_prefix.img_path=train2014 \
        test_dataloader.dataset.data_prefix.seg_map_path=masks/train2014
"""

_base_ = './weak_pipelines.py'
data_root = 'data/coco'
scales = (1.0, 0.8, 1.2)
test_pipeline = [
    _base_.load_test_image,
    dict(type='LoadCheckedAnnotations'),
    dict(type='PackWeakInputs', scales=scales),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    # New workers each epoch take their seeds from it, so a resumed run draws what an unbroken one
    # does.
    worker_init_fn=dict(type='seed_worker'),
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='WeakCOCODataset',
        data_root=data_root,
        ann_file='ImageSets/train.txt',
        label_file='labels_train.json',
        data_prefix=dict(img_path='train2014'),
        pipeline=_base_.stage_match_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WeakCOCODataset',
        data_root=data_root,
        ann_file='ImageSets/val.txt',
        label_file='labels_val.json',
        data_prefix=dict(img_path='val2014', seg_map_path='masks/val2014'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_dataloader = dict(test_dataloader, dataset=dict(test_dataloader['dataset'], indices=1000))
# Images and their labels alone, without masks.
pseudo_mask_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WeakCOCODataset',
        data_root=data_root,
        ann_file='ImageSets/train.txt',
        label_file='labels_train.json',
        data_prefix=dict(img_path='train2014'),
        pipeline=[_base_.load_image, dict(type='PackWeakInputs', scales=scales)],
        test_mode=True,
    ),
)
pseudo_mask_evaluator = dict(background_score=0.42, refine=dict(type='DenseCRF', preset='coco'))
