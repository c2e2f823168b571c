"""A cell of the study: all stages and directions on one data set, with one seed."""

title = 'SemPLeS on real photos'
needed = 'projects/real_photos/prepare.py writes the folder of the data set'
places = dict(data='data/real_photos/msrc')
values = dict(seed=0, stage_0=[], semples=[], segmenter=[], score=0.4)
values |= dict(small_lambda=0.05, large_lambda=1.0)
here, configs = '../projects/real_photos/', '../projects/real_photos/configs/'
seed = 'randomness.seed={seed}'
listed = ['{data}/' + name for name in ('classes.txt', 'labels.json', 'train.txt')]
scored = [*listed[:2], '{data}/scored.txt', '{data}/held.txt', '{data}/masks']
stage_0, trained = '{run}/stage_0/classify.pth', '{run}/semples/'
match, prompt, refine = trained + 'match.pth', trained + 'prompt.pth', trained + 'refine.pth'
weights, rolled = '{run}/segmenter/weights.pth', '{run}/rolled.pth'


def step(name, tool, config, arguments, options, inputs, outputs, length=10, **others):
    """A step that works with a config of the study."""
    config = configs + config + '.py'
    return dict(others, name=name, tool=tool, config=config, arguments=arguments, options=options,
                inputs=inputs, outputs=outputs, length=length)  # fmt: skip


def train(name, config, options, inputs, left, length, stage=()):
    """A step that trains in the folder of its name."""
    place = '{run}/' + name
    arguments = [*(['--stage', stage] if stage else []), '--work-dir', place]
    outputs = [place + '/' + file + '.pth' for file in left]
    return step(name, 'train.py', config, arguments, [*options, seed], inputs, outputs, length,
                resume=['--resume'], folder=place)  # fmt: skip


def refined(name, start=prompt, option=(), config='semples'):
    """Stage (c) from the weights of stage 0, with the prompts of another file."""
    options = ['{semples}', 'load_from=' + start, *option]
    options += ['stages.2.restore.mask_generator=' + stage_0]
    return train(name, config, options, [stage_0, start], ['refine'], 20, 'refine')


def measured(name, arguments, inputs):
    """Measures CAMs or masks."""
    out = '{run}/' + name + '.json'
    arguments, inputs = ['--out', out, *arguments], [*inputs, *scored]
    return step(name, here + 'measure.py', 'semples', arguments, ['{semples}'], inputs, [out], 20)


def written(name, *how, inputs=(), options=()):
    """Writes pseudo masks; ``how``: options, of another refinement."""
    place = '{run}/' + name
    given = [refine, '--out', place, '--background-score={score}', *how, *test]
    return step(name, 'make_pseudo_masks.py', 'semples', given, ['{semples}', seed, *options],
                [refine, *listed, *inputs], [place], 20, folder=place)  # fmt: skip


def masks_measured(name):
    """Measures them."""
    place = '{run}/' + name
    return measured(name + '_measured', ['--masks', place, '--predictions', predictions],
                    [place, predictions])  # fmt: skip


def cams(name, weights):
    """Measures the CAMs of weights, by name."""
    named = [key + '=' + path for key, path in weights.items()]
    given = ['--prompts', prompt, '--weights', *named]
    return measured(name, given, [prompt, *weights.values()])


masks, predictions, test = '{run}/masks', '{run}/predictions', ['--work-dir', '{run}/test']
main = [
    train('stage_0', 'stage_0', ['{stage_0}'], listed, ['classify'], 30),
    train('semples', 'semples', ['{semples}', 'load_from=' + stage_0], [stage_0, *listed],
          ['match', 'prompt', 'refine'], 50),
    cams('cams', dict(stage_0=stage_0, match=match, refine=refine)),
    dict(name='words', tool='visualize.py', inputs=[refine, '{data}/words.txt'],
         outputs=['{run}/words.json'],
         arguments=['words', '{root}/projects/real_photos/configs/semples.py', refine,
                    '--words', '{data}/words.txt', '--json', '{run}/words.json', *test],
         options=['{semples}'], length=1),
    written('masks'),
    train('segmenter', 'segmenter',
          ['{segmenter}', 'train_dataloader.dataset.data_prefix.seg_map_path=' + masks],
          [masks, *listed, *scored], ['weights'], 30),
    step('predictions', 'test.py', 'segmenter', [weights, '--out', predictions, *test],
         ['{segmenter}'], [weights, *scored], [predictions], folder=predictions),
    masks_measured('masks'),
]  # fmt: skip
scored_alone = ['pseudo_mask_dataloader.dataset.ann_file=scored.txt']
directions = ['no_text', 'other_prompts', 'manual', 'small_lambda', 'large_lambda']
steps = main + [
    train('no_text_prompts', 'semples',
          ['{semples}', 'load_from=' + match, 'model.losses.prompt.text_weight=0.0'],
          [match, *listed], ['prompt'], 10, 'prompt'),
    refined('no_text', '{run}/no_text_prompts/prompt.pth'),
    step('rolled', here + 'measure.py', 'semples', ['--prompts', prompt, '--out', rolled], [],
         [prompt], [rolled], 1),
    refined('other_prompts', rolled),
    refined('manual', match, config='manual'),
    refined('small_lambda', option=['model.losses.refine.weight={small_lambda}']),
    refined('large_lambda', option=['model.losses.refine.weight={large_lambda}']),
    cams('directions', {name: '{run}/' + name + '/refine.pth' for name in directions}),
    written('pamr', '--refine', 'pamr', options=scored_alone),
    masks_measured('pamr'),
    written('voted', '--refine', 'segments:{data}/segments', inputs=['{data}/segments'],
            options=scored_alone),
    masks_measured('voted'),
]  # fmt: skip
