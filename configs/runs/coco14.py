"""MS COCO 2014: from the download to the figure of table 3.

python tools/run_pipeline.py coco14 --gpus 4
"""

_base_ = '../_base_/published_run.py'
title = 'SemPLeS on MS COCO 2014'
places = dict(data='data/coco')
labels = ['{data}/ImageSets/train.txt', '{data}/labels_train.json']
labels += ['{data}/ImageSets/val.txt', '{data}/labels_val.json']
values = dict(
    converter='dataset_converters/coco14.py',
    sources=[
        '{data}/annotations/instances_train2014.json',
        '{data}/annotations/instances_val2014.json',
    ],
    prepared=[*labels, '{data}/masks/val2014'],
    labels=labels,
    labels_options=[],
    scored='{data}/ImageSets/train.txt',
    train_masks='masks/train2014',
    val_masks='masks/val2014',
    measured_when='{data}/masks/train2014',
    classes='coco',
    weaktr='weaktr/weaktr_deit-s_coco14.py',
    semples='semples/coco_refine.py',
    segmenter='segmenter/segmenter_deit-s_coco14.py',
)
rows = [
    ('seeds, at the best background score', 'seeds.json:seed_mIoU', None),
    ('pseudo masks (CAM, CRF)', 'masks.json:mIoU', None),
    ('Segmenter on val', 'val.json:mIoU', 44.9),
]
