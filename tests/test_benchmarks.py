"""Both versions of every hot path compute the same, and the commands run. Never about time."""

import json

import numpy as np
import pytest
import torch

from benchmarks import measuring, run
from benchmarks.cams import OurCAMs, TextbookCAMs
from benchmarks.data_set import OurCRF, OurCurve, TextbookCRF, TextbookCurve
from benchmarks.loading import RIVALS, Loading
from benchmarks.models import draw_labels
from benchmarks.setting import Setting, Side
from benchmarks.steps import CROSS_ENTROPY, OurStep, SegmenterStep, SmallCLIP, TextbookStep


@pytest.fixture(scope='module')
def setting(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('benchmarks'))
    return Setting(toy=True, device='cpu', batch=3, images=3, folder=folder)


def assert_same(got, expected, rtol=1e-3):
    """Compare tensors by name, each relative to its largest value."""
    assert got.keys() == expected.keys()
    for name, value in got.items():
        scale = expected[name].abs().max()
        assert scale > 0, name
        torch.testing.assert_close(value / scale, expected[name] / scale, rtol=rtol, atol=rtol)


@pytest.mark.parametrize('frozen', [False, True])
@pytest.mark.parametrize('stage', ['match', 'prompt', 'refine'])
def test_stage_steps_have_equal_losses_and_gradients(setting, stage, frozen):
    sides = OurStep(setting, stage), TextbookStep(setting, stage, frozen)
    assert any(p.requires_grad for p in sides[1].model.clip.parameters()) != frozen
    (ours, own_gradients), (losses, gradients) = (side.losses_and_gradients() for side in sides)
    assert_same(ours, losses, rtol=1e-5)
    assert_same(own_gradients, gradients)
    # and once a step has been taken
    for side in sides:
        side()
    assert_same(sides[0].losses_and_gradients()[0], sides[1].losses_and_gradients()[0], rtol=1e-4)


def test_the_textbook_leaves_all_gradients_on(setting):
    """What the baseline is slow by: it encodes every time and differentiates everything."""
    step = TextbookStep(setting, 'refine')
    calls = []
    encode = step.model.clip.encode_image
    step.model.clip.encode_image = lambda images: calls.append(len(images)) or encode(images)
    losses, _ = step.forward()
    sum(losses.values()).backward()
    pairs = int(step.labels.sum())
    assert calls == [pairs] * 3
    assert step.model.clip.visual.conv1.weight.grad is not None
    assert step.model.clip.transformer.resblocks[0].mlp.c_fc.weight.grad is not None
    assert all(p.requires_grad for p in step.model.parameters())


def test_features_and_gradients_of_the_small_clip_are_equal(setting):
    got, expected = SmallCLIP(setting)(), SmallCLIP(setting, streamline=False)()
    assert_same(*(dict(zip(('features', 'images'), some, strict=True)) for some in (got, expected)))


def test_cams_are_equal(setting):
    ours, textbook = OurCAMs(setting), TextbookCAMs(setting)
    assert len(ours()) == setting.images
    for batch in (1, 3):
        ours.batch = batch
        for got, expected in zip(ours(), textbook(), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_curves_are_equal(setting):
    got, expected = OurCurve(setting)(), TextbookCurve(setting)()
    assert len(np.unique(got)) > 10
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_refined_masks_are_equal(setting):
    pytest.importorskip('pydensecrf')
    ours, textbook = OurCRF(setting, processes=1), TextbookCRF(setting)
    ours(), textbook()
    for got, expected, label in zip(ours.masks(), textbook.masks(), ours.labels, strict=True):
        assert (got == expected).all() and (got != label).any()


def test_both_loaders_give_every_image_with_its_labels(setting):
    for options in ({}, dict(workers=0)):
        side = Loading(setting, **options)
        side.prepare()
        (batch,) = side()
        side.close()
        assert [sample.img_id for sample in batch['data_samples']] == ['00000', '00001', '00002']
        for image, sample, row in zip(
            batch['inputs'], batch['data_samples'], draw_labels(3, 20), strict=True
        ):
            assert image.shape == (3, 224, 224) and image.dtype == torch.uint8
            assert (sample.image_labels.numpy() == row).all()


@pytest.mark.parametrize('name', RIVALS)
def test_rivals_load_every_image(setting, name):
    pytest.importorskip('timm')
    images = RIVALS[name](setting)()
    images = [image['inputs'] if isinstance(image, dict) else image for image in images]
    assert [image.shape for image in images] == [(3, 224, 224)] * 3


def test_segmenter_steps_are_equal_before_clipping_begins(setting):
    results = []
    for loss in (None, CROSS_ENTROPY):
        step = SegmenterStep(setting, loss)
        torch.manual_seed(0)  # dropout
        results.append(step.losses_and_gradients())
    assert_same(results[0][0], results[1][0], rtol=1e-5)
    assert_same(results[0][1], results[1][1])


def test_the_command_measures_paths_and_scaling(tmp_path, capsys):
    target = tmp_path / 'out.json'
    options = ['--toy', '--device', 'cpu', '--repeats', '1', '--no-memory', '--scaling']
    run.main([*options, '--path', 'refine', 'small_clip', 'curve', '--json', str(target)])
    result = json.loads(target.read_text())
    assert result['machine']['versions']['torch'] == torch.__version__
    assert list(result['paths']) == ['refine', 'small_clip', 'curve']
    sides = [side for path in result['paths'].values() for side in path['sides'].values()]
    assert len(sides) == 7 and all(side['seconds'] > 0 for side in sides)
    # counted, not timed: the same on every machine
    flops = {name: side['flops'] for name, side in result['paths']['refine']['sides'].items()}
    assert flops['textbook'] > 1.5 * flops['ours'] > 0
    rows = result['scaling']
    assert [row['pairs'] for row in rows] == [4, 16, 4]
    assert rows[1]['flops'] > rows[0]['flops'] and rows[2]['flops'] > rows[0]['flops']
    out = capsys.readouterr().out
    assert '| stage (c), training step | textbook |' in out and '| 4 | 64 | 16 |' in out


class Idle(Side):
    """Uses no memory."""

    def __call__(self):
        return


class Hog(Side):
    """Uses 64 MiB while it works."""

    def __call__(self):
        torch.ones(16 * 2**20).sum()


def test_peak_memory_is_that_of_the_call():
    torch.ones(64 * 2**20).sum()  # four times as much before does not count
    try:
        idle = measuring.memory_of_call(Idle(), 'cpu')
    except OSError:
        pytest.skip('the peak of a process cannot be reset here')
    assert 60 * 2**20 < measuring.memory_of_call(Hog(), 'cpu') - idle < 160 * 2**20
