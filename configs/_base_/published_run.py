"""The steps from the download of a data set to the figures of the paper's tables.

What differs between data sets are values: configs/runs/voc12.py, configs/runs/coco14.py.
"""

needed = 'Give the folder of the data set with --data-root; docs/data.md shows its layout'
values = dict(
    seed=0,
    convert=[],
    weaktr_options=[],
    semples_options=[],
    segmenter_options=[],
    tests=['--tta', '--crf'],
)
seed = 'randomness.seed={seed}'
weak = [
    loader + '_dataloader.dataset.data_root={data}'
    for loader in ('train', 'val', 'test', 'pseudo_mask')
] + ['{labels_options}']
stage_0, final = '{run}/weaktr/classify.pth', '{run}/semples/refine.pth'
# A whole model is loaded, so the weights of stage 0 are not needed.
cams = ['model.mask_generator.init_cfg=None', seed, *weak, '{semples_options}']
segmenter_data = [
    seed,
    *[loader + '_dataloader.dataset.data_root={data}' for loader in ('train', 'val', 'test')],
    'train_dataloader.dataset.data_prefix.seg_map_path={run}/pseudo_masks',
]
segmenter_options = [
    *segmenter_data,
    'val_dataloader.dataset.data_prefix.seg_map_path={val_masks}',
    'test_dataloader.dataset.data_prefix.seg_map_path={val_masks}',
    '{segmenter_options}',
]
# Lengths: thousands of images in the training of a stage, on VOC; of other steps by calculation.
steps = [
    dict(
        name='data',
        tool='{converter}',
        arguments=['{data}', '{convert}'],
        inputs='{sources}',
        outputs='{prepared}',
        length=5,
    ),
    dict(
        name='WeakTr training (stage 0)',
        tool='train.py',
        config='{weaktr}',
        options=[seed, *weak, '{weaktr_options}'],
        arguments=['--work-dir', '{run}/weaktr'],
        resume=['--resume'],
        inputs='{labels}',
        outputs=[stage_0],
        folder='{run}/weaktr',
        length=200,
    ),
    dict(
        name='SemPLeS training',
        tool='train.py',
        config='{semples}',
        options=[
            'model.mask_generator.init_cfg.checkpoint=weights:' + stage_0,
            seed,
            *weak,
            '{semples_options}',
        ],
        arguments=['--work-dir', '{run}/semples'],
        resume=['--resume'],
        inputs=[stage_0, '{labels}'],
        outputs=[final, '{run}/semples/stages.json'],
        folder='{run}/semples',
        length=1900,
    ),
    dict(
        name='seeds (a diagnostic)',
        tool='test.py',
        config='{semples}',
        options=cams,
        arguments=[final, '--metrics', '{run}/seeds.json', '--work-dir', '{run}/test'],
        inputs=[final],
        outputs=['{run}/seeds.json'],
        length=12,
    ),
    dict(
        name='pseudo masks',
        tool='make_pseudo_masks.py',
        config='{semples}',
        options=cams,
        arguments=[final, '--out', '{run}/pseudo_masks', '--work-dir', '{run}/test'],
        inputs=[final, '{labels}'],
        outputs=['{run}/pseudo_masks'],
        folder='{run}/pseudo_masks',
        length=100,
    ),
    dict(
        name='pseudo masks, measured (a diagnostic)',
        tool='eval_pseudo_masks.py',
        arguments=[
            *('{run}/pseudo_masks', '{data}/{train_masks}', '--classes', '{classes}'),
            *('--ids', '{scored}', '--json', '{run}/masks.json'),
        ],
        inputs=['{run}/pseudo_masks', '{scored}'],
        outputs=['{run}/masks.json'],
        when='{measured_when}',
        length=1,
    ),
    dict(
        name='Segmenter training',
        tool='train.py',
        config='{segmenter}',
        options=segmenter_options,
        arguments=['--work-dir', '{run}/segmenter'],
        resume=['--resume'],
        inputs=['{run}/pseudo_masks'],
        outputs=['{run}/segmenter/weights.pth'],
        folder='{run}/segmenter',
        length=2100,
    ),
    dict(
        name='Segmenter on val',
        tool='test.py',
        config='{segmenter}',
        options=segmenter_options,
        arguments=[
            *('{run}/segmenter/weights.pth', '--metrics', '{run}/val.json'),
            *('--work-dir', '{run}/test', '{tests}'),
        ],
        inputs=['{run}/segmenter/weights.pth'],
        outputs=['{run}/val.json'],
        length=60,
    ),
]
columns = ['this run', 'the paper']
