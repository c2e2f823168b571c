"""The demo: the whole method on a small drawn world, on a CPU in about two minutes.

python tools/run_pipeline.py demo
"""

title = 'SemPLeS on the demo world'
places = dict(data='data/demo')
values = dict(seed=0, semples_options=[], segmenter_options=[])
stages = ['classify', 'match', 'prompt', 'refine']
shown = dict(classify='after stage 0', match='after (a)', refine='after (c)')
weights = ['{run}/semples/' + stage + '.pth' for stage in shown]
semples = dict(
    config='semples/demo_refine.py',
    options=[
        *[
            loader + '_dataloader.dataset.data_root={data}'
            for loader in ('train', 'val', 'test', 'pseudo_mask')
        ],
        '{semples_options}',
        'randomness.seed={seed}',
    ],
)
steps = [
    dict(
        name='SemPLeS training',
        tool='train.py',
        **semples,
        arguments=['--work-dir', '{run}/semples'],
        resume=['--resume'],
        outputs=['{run}/semples/' + stage + '.pth' for stage in stages]
        + ['{run}/semples/stages.json'],
        folder='{run}/semples',
        length=75,
    ),
    dict(
        name='seeds',
        tool='test.py',
        **semples,
        arguments=[*weights, '--metrics', '{run}/seeds.json', '--work-dir', '{run}/test'],
        inputs=weights,
        outputs=['{run}/seeds_' + stage + '.json' for stage in shown],
        length=15,
    ),
    dict(
        name='pseudo masks',
        tool='make_pseudo_masks.py',
        **semples,
        arguments=[weights[-1], '--out', '{run}/pseudo_masks', '--work-dir', '{run}/test'],
        inputs=[weights[-1]],
        outputs=['{run}/pseudo_masks'],
        folder='{run}/pseudo_masks',
        length=10,
    ),
    dict(
        name='pseudo masks, measured',
        tool='eval_pseudo_masks.py',
        arguments=[
            *('{run}/pseudo_masks', '{data}/SegmentationClass', '--num-classes', '7'),
            *('--json', '{run}/masks.json'),
        ],
        inputs=['{run}/pseudo_masks'],
        outputs=['{run}/masks.json'],
        length=4,
    ),
    dict(
        name='Segmenter training',
        tool='train.py',
        config='segmenter/segmenter_demo.py',
        options=[
            *[
                loader + '_dataloader.dataset.data_root={data}'
                for loader in ('train', 'val', 'test')
            ],
            'train_dataloader.dataset.data_prefix.seg_map_path={run}/pseudo_masks',
            '{segmenter_options}',
            'randomness.seed={seed}',
        ],
        arguments=['--work-dir', '{run}/segmenter'],
        resume=['--resume'],
        inputs=['{run}/pseudo_masks'],
        outputs=['{run}/segmenter/weights.pth', '{run}/segmenter/metrics.json'],
        folder='{run}/segmenter',
        length=45,
    ),
    dict(
        name='pictures',
        tool='semples_mmseg.demo.grid',
        arguments=['{run}'],
        inputs=[*weights, '{run}/pseudo_masks', '{run}/segmenter/weights.pth'],
        outputs=['{run}/grid.png'],
        length=6,
    ),
]
columns = ['training scenes', 'held-out scenes']
rows = [
    *[
        (
            'seeds ' + shown[stage],
            'seeds_' + stage + '.json:seed_mIoU',
            'semples/stages.json:' + str(stages.index(stage)) + '.metrics.seed_mIoU',
        )
        for stage in shown
    ],
    ('pseudo masks', 'masks.json:mIoU', None),
    ('Segmenter', None, 'segmenter/metrics.json:mIoU'),
]
