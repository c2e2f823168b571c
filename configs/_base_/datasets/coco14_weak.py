"""COCO 2014 with image-level labels: training on train2014, seeds evaluated on val2014.

Files as tools/dataset_converters/coco14.py leaves them (docs/data.md); DATA_ROOT=FOLDER in the
environment names another folder. Only evaluation opens masks: during training those of the first
1000 images of val, in tools/test.py all of val. Seeds on train, as other papers report them, need its
masks (--masks train val) and

    --cfg-options test_dataloader.dataset.ann_file=ImageSets/train.txt \
        test_dataloader.dataset.label_file=labels_train.json \
        test_dataloader.dataset.data_prefix.img_path=train2014 \
        test_dataloader.dataset.data_prefix.seg_map_path=masks/train2014
"""

_base_ = './weak_pipelines.py'
data_root = '{{$DATA_ROOT:data/coco}}'
scales = (1.0, 0.8, 1.2)
test_pipeline = [
    _base_.load_test_image,
    _base_.limit_side,
    dict(type='LoadCheckedAnnotations'),
    dict(type='PackWeakInputs', scales=scales),
]
train_set = dict(
    type='WeakCOCODataset',
    data_root=data_root,
    ann_file='ImageSets/train.txt',
    label_file='labels_train.json',
    data_prefix=dict(img_path='train2014'),
)

train_dataloader = dict(
    num_workers=4,
    # The workers of an epoch take their seeds from it, so a resumed run draws the same numbers as an
    # unbroken one.
    worker_init_fn=dict(type='seed_worker'),
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**train_set, pipeline=_base_.stage_match_pipeline),
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
# Images and labels, without masks.
pseudo_mask_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **train_set,
        pipeline=[
            _base_.load_image,
            _base_.limit_side,
            dict(type='PackWeakInputs', scales=scales),
        ],
        test_mode=True,
    ),
)
pseudo_mask_evaluator = dict(refine=dict(type='DenseCRF', preset='coco'))
