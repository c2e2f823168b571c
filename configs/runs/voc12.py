"""PASCAL VOC 2012: from the download to the figures of tables 1 and 2.

python tools/run_pipeline.py voc12 --sbd benchmark_RELEASE --gpus 4

The paper does not define its "mask" figure; it stands beside the one that WeakTr publishes.
"""

_base_ = '../_base_/published_run.py'
title = 'SemPLeS on PASCAL VOC 2012'
places = dict(data='data/VOCdevkit/VOC2012')
lists = '{data}/ImageSets/Segmentation/'
labels = [lists + 'train_aug.txt', '{data}/image_labels.json']
values = dict(
    converter='dataset_converters/voc.py',
    sources=[lists + 'train.txt', lists + 'val.txt'],
    prepared=[*labels, '{data}/SegmentationClassAug'],
    labels=labels,
    labels_options=[
        loader + '_dataloader.dataset.label_file=image_labels.json'
        for loader in ('train', 'val', 'test', 'pseudo_mask')
    ],
    scored=lists + 'train.txt',
    train_masks='SegmentationClassAug',
    val_masks='SegmentationClassAug',
    measured_when='{data}',
    classes='voc',
    weaktr='weaktr/weaktr_deit-s_voc12.py',
    semples='semples/voc_refine.py',
    segmenter='segmenter/segmenter_deit-s_voc12.py',
)
weights = '{run}/segmenter/weights.pth'
steps = _base_.steps + [
    dict(
        name='Segmenter on labelled training images (a diagnostic)',
        tool='test.py',
        config='segmenter/segmenter_deit-s_voc12_labelled-train.py',
        options=[
            *_base_.segmenter_data,
            'test_dataloader.dataset.label_file=image_labels.json',
            '{segmenter_options}',
        ],
        arguments=[
            *(weights, '--metrics', '{run}/labelled_train.json'),
            *('--work-dir', '{run}/test', '{tests}'),
        ],
        inputs=[weights, '{data}/image_labels.json'],
        outputs=['{run}/labelled_train.json'],
        length=60,
    ),
    dict(
        name='masks for the evaluation server',
        tool='test.py',
        config='segmenter/segmenter_deit-s_voc12_test-server.py',
        options=[
            *_base_.segmenter_data,
            'test_evaluator.out_dir={run}/test/results/VOC2012/Segmentation/comp6_test_cls',
            '{segmenter_options}',
        ],
        arguments=[
            *(weights, '--metrics', '{run}/test.json'),
            *('--work-dir', '{run}/test', '--tta'),
        ],
        inputs=[weights],
        outputs=['{run}/test/results'],
        when=lists + 'test.txt',
        length=50,
    ),
]
rows = [
    ('seeds, at the best background score', 'seeds.json:seed_mIoU', 68.7),
    ('pseudo masks (CAM, CRF)', 'masks.json:mIoU', None),
    ('Segmenter on labelled train ("mask")', 'labelled_train.json:mIoU', 78.3),
    ('Segmenter on val', 'val.json:mIoU', 74.2),
]
