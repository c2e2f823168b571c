"""Photos of your own: `semples-mmseg fit` fills in the values."""

title = 'your own photos'
places = dict(photos='photos')
values = dict(
    amp=[],
    stages_length=0,
    masks_length=0,
    segmenter_length=0,
    predictions_length=0,
)
data = ['{run}/data/list.txt', '{run}/data/labels.json']
final, segmenter = '{run}/semples/refine.pth', '{run}/segmenter/weights.pth'
steps = [
    dict(
        name='stages',
        tool='train.py',
        config='{run}/configs/semples.py',
        arguments=['--work-dir', '{run}/semples', '{amp}'],
        resume=['--resume'],
        inputs=data,
        outputs=[
            '{run}/semples/' + name
            for name in ('classify.pth', 'match.pth', 'prompt.pth', 'refine.pth', 'stages.json')
        ],
        folder='{run}/semples',
        length='{stages_length}',
    ),
    dict(
        name='pseudo masks',
        tool='make_pseudo_masks.py',
        config='{run}/configs/semples.py',
        arguments=[final, '--out', '{run}/masks', '--work-dir', '{run}/test'],
        inputs=[final, *data],
        outputs=['{run}/masks'],
        folder='{run}/masks',
        length='{masks_length}',
    ),
    dict(
        name='Segmenter',
        tool='train.py',
        config='{run}/configs/segmenter.py',
        arguments=['--work-dir', '{run}/segmenter', '{amp}'],
        resume=['--resume'],
        inputs=['{run}/masks'],
        outputs=[segmenter],
        folder='{run}/segmenter',
        length='{segmenter_length}',
    ),
    dict(
        name='predictions',
        tool='test.py',
        config='{run}/configs/segmenter.py',
        arguments=[
            *(segmenter, '--metrics', '{run}/predictions.json', '--work-dir', '{run}/test'),
            *('--out', '{run}/predictions'),
        ],
        inputs=[segmenter],
        outputs=['{run}/predictions.json', '{run}/predictions'],
        folder='{run}/predictions',
        length='{predictions_length}',
    ),
]
