"""What runs on a GPU, walked over a stand-in: no devices are mixed, and few lines wait for it."""

import copy
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from processes import CLASSES, draw_images, weights, write_config
from test_models.test_apis import config_of
from test_models.test_generators import GENERATORS
from tiny import TINY_CLIP, TINY_SEMPLES
from tiny_segmenter import SMALL_VIEWS, SMALL_WINDOWS, TINY_ENCODER, data_at, load, randomise

import semples_mmseg
from semples_mmseg.engine import MixedPrecisionOptimWrapper
from semples_mmseg.inference import SemPLeSInferencer
from semples_mmseg.masks.generate import make_pseudo_masks
from semples_mmseg.models import build_clip, patch_features, window_features
from semples_mmseg.models.stages import STAGES

standin = pytest.importorskip('standin', exc_type=ImportError)  # PyTorch may be too old

STEPS, IMAGES = 2, 8
A_STEP, AN_IMAGE = 2, 4
"""Waits that lines of this package may cause."""
OTHERS = {
    'mmengine/logging/message_hub.py': 'the value of each loss, for the log',
    'mmengine/optim/optimizer/amp_optimizer_wrapper.py': 'whether float16 overflowed',
    'mmengine/structures/base_data_element.py': 'results to the CPU; labels of the Segmenter',
    'mmengine/model/base_model/data_preprocessor.py': 'images of the Segmenter',
    'mmseg/models/data_preprocessor.py': 'their channels',
    'mmseg/models/segmentors/encoder_decoder.py': 'whether windows cover the image',
    'mmseg/models/losses/accuracy.py': 'accuracy of the Segmenter: ignored pixels',
    'mmseg/evaluation/metrics/iou_metric.py': 'ignored pixels and counts',
}
"""Files of MMEngine and MMSeg that wait, beside ours."""
FUSED = dict(type='AdamW', lr=1e-4, fused=True)
HALF = dict(type='MixedPrecisionOptimWrapper')
RUNS = dict(
    float32=(tuple(STAGES), {}),
    bfloat16=(
        ('match', 'prompt'),
        dict(
            optim_wrapper=dict(HALF, accumulative_counts=2),
            model=dict(image_head=dict(max_batch=1)),
        ),
    ),
    float16=(('match',), dict(optim_wrapper=dict(HALF, dtype='float16', optimizer=FUSED))),
)
NUMBERS = itertools.count()


@pytest.fixture(scope='module')
def walk():
    """Return a function that calls another one in a process that has the stand-in.

    PyTorch counts the devices when it first goes backward, so this process cannot have it.
    """
    multiprocessing.set_forkserver_preload(['semples_mmseg'])
    context = multiprocessing.get_context('forkserver')
    with ProcessPoolExecutor(1, context, initializer=_begin) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def _begin():
    semples_mmseg.register_components()  # not in a process of a server that workers have started
    torch.set_num_threads(1)
    init_default_scope('mmseg')
    standin.start()


def check_waits(times, most):
    """Waits since the last check: of ours so many in a step or image, others have to be known."""
    waits = standin.WAITS.copy()
    standin.WAITS.clear()
    ours = {key: count for key, count in waits.items() if key[0].startswith('semples_mmseg')}
    assert 0 < sum(ours.values()) <= most * times, waits
    assert {file for file, *_ in waits.keys() - ours.keys()} <= OTHERS.keys(), waits


def train(folder, data, run, dies_in=None, watched=False):
    """Train two steps a stage; the process may die in an epoch, or its waits are watched."""
    names, changes = RUNS[run]
    stages = [dict(name=name, epochs=1, batch_size=IMAGES // STEPS) for name in names]
    config = Config.fromfile(write_config(folder, data, stages, **changes))
    config.custom_hooks.pop()  # it reads the losses of each step
    config.experiment_name = f'{folder}{next(NUMBERS)}'
    config.work_dir, saved = str(folder), folder / f'epoch_{len(names) - 1}.pth'
    if saved.exists():
        config.resume, config.load_from = True, str(saved)
    runner = Runner.from_cfg(config)
    call = runner.call_hook

    def call_watched(name, **arguments):
        if name == 'after_train_epoch' and watched:
            check_waits(STEPS, A_STEP + (run == 'float16'))  # to find its scale
        if name == 'before_train_iter' and runner.epoch == dies_in:
            raise KeyboardInterrupt
        call(name, **arguments)
        if name == 'before_train_epoch':
            standin.WAITS.clear()

    runner.call_hook = call_watched
    runner.train()
    return runner


def walk_stages(folder, data, run):
    runner = train(folder, data, run, watched=True)
    state = runner.model.state_dict()
    assert {value.device.type for value in state.values()} == {standin.NAME}
    if run == 'float32':
        standin.WAITS.clear()  # of the checkpoints
        runner.test()
        check_waits(IMAGES, AN_IMAGE)
    if run == 'bfloat16':
        with pytest.raises(KeyboardInterrupt):
            train(folder / 'again', data, run, dies_in=1)
        again = train(folder / 'again', data, run).model.state_dict()
        assert all(torch.equal(again[key], value) for key, value in state.items())


@pytest.mark.parametrize('run', RUNS)
def test_stages(walk, tmp_path, run):
    """All stages and seeds; mixed precision, accumulated gradients, CLIP in parts; resuming."""
    draw_images(tmp_path / 'data', IMAGES)
    walk(walk_stages, tmp_path / 'there', tmp_path / 'data', run)
    train(tmp_path / 'here', tmp_path / 'data', run)
    last = f'{RUNS[run][0][-1]}.pth'
    found, expected = weights(tmp_path / 'there' / last), weights(tmp_path / 'here' / last)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-2, atol=1e-3)


def walk_masks(folder, refine):
    config = Config.fromfile(write_config(folder, folder / 'data', []))
    config.pseudo_mask_evaluator = dict(num_workers=0)  # CLIP chooses the background score
    config.pseudo_mask_dataloader.dataset.pipeline.insert(1, dict(type='LimitSide', max_side=40))
    config.model.clip.pretrained, config.work_dir = str(folder / 'clip.pt'), str(folder)
    torch.save(build_clip(TINY_CLIP, None).state_dict(), folder / 'clip.pt')
    model = MODELS.build(copy.deepcopy(config.model))
    model.prompt_learner.prompts.data.mul_(3)
    torch.save(dict(state_dict=model.state_dict()), folder / 'weights.pth')
    standin.WAITS.clear()
    make_pseudo_masks(config, str(folder / 'weights.pth'), str(folder / 'out'), refine=refine)
    check_waits(2 * IMAGES, AN_IMAGE)  # to choose, and to write


@pytest.mark.parametrize('refine', ['pamr', 'crf-voc'])
def test_pseudo_masks(walk, refine, tmp_path):
    if refine == 'crf-voc':
        pytest.importorskip('pydensecrf.densecrf')
    draw_images(tmp_path / 'data', IMAGES)
    walk(walk_masks, tmp_path, refine)


def walk_generators():
    images, row = torch.randn(2, 3, 64, 64).to(standin.NAME), torch.tensor([1.0, 0, 1])
    samples = [SegDataSample(), SegDataSample()]
    for sample in samples:
        sample.image_labels = row.to(standin.NAME)
    for generator in GENERATORS.values():
        config = dict(copy.deepcopy(TINY_SEMPLES), mask_generator=copy.deepcopy(generator))
        model = MODELS.build(config).to(standin.NAME)
        for stage in STAGES.values():
            model.set_stage(stage)
            sum(model.train().loss(images, samples).values()).backward()
        (found, _) = model.eval().predict(images, samples)
        assert found.cams.data.device.type == standin.NAME


def test_generators(walk):
    walk(walk_generators)


def walk_inferencer():
    inferencer = SemPLeSInferencer(config_of(copy.deepcopy(TINY_SEMPLES), (1.0, 1.2)))
    inferencer.model.dataset_meta = dict(classes=CLASSES, palette=[[n, n, n] for n in range(4)])
    standin.WAITS.clear()
    inferencer([np.zeros((50, 60, 3), np.uint8)] * 2, tags=[['cat'], None])
    check_waits(2, AN_IMAGE)
    head = inferencer.model.image_head
    images = head.prepare(torch.randn(2, 3, 40, 40).to(standin.NAME))
    for features in (patch_features(head, images, dense=True), window_features(head, images, 4, 2)):
        assert features.device.type == standin.NAME
    assert not standin.WAITS


def test_inferencer_and_features_of_patches(walk):
    walk(walk_inferencer)


def walk_segmenter(root, folder):
    changes = TINY_ENCODER, SMALL_WINDOWS, SMALL_VIEWS, data_at('test', root, 'train.txt')
    config = load('segmenter_deit-s_voc12.py', *changes)
    del config.tta_pipeline[2].transforms[0][1:]
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)
    metric = dict(type='IoUMetric', iou_metrics=['mIoU'])
    config.test_evaluator = dict(type='CRFEvaluator', num_workers=0, metrics=[metric])
    for key in ('train_dataloader', 'train_cfg', 'val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    config.optim_wrapper = config.param_scheduler = None
    config.work_dir, config.log_level = str(folder), 'ERROR'
    runner = Runner.from_cfg(config)
    randomise(runner.model.module)
    standin.WAITS.clear()
    runner.test()
    check_waits(2, AN_IMAGE)
    model, image = runner.model.module.train(), torch.zeros(3, 64, 64, dtype=torch.uint8)
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64)))
    sample.gt_sem_seg = PixelData(data=torch.randint(21, (1, 64, 64)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = MixedPrecisionOptimWrapper(optimizer=optimizer)
    losses = model.train_step(dict(inputs=[image] * 2, data_samples=[sample] * 2), wrapper)
    assert losses['loss'].isfinite()


def test_segmenter(walk, make_voc_tree, tmp_path):
    """Its test with views and a CRF, and a training step."""
    pytest.importorskip('pydensecrf.densecrf')
    root = make_voc_tree({'2007_000001': ['cat'], '2007_000002': ['dog']}, (45, 66))
    walk(walk_segmenter, root, tmp_path)
