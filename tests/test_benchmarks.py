"""Both versions of every hot path compute the same, and the commands run. Never about time."""

import json
import sys

import numpy as np
import pytest
import torch

from benchmarks import collection, measuring, report, run
from benchmarks.cams import OurCAMs, TextbookCAMs
from benchmarks.data_set import OurCRF, OurCurve, TextbookCRF, TextbookCurve
from benchmarks.distributed import seconds_of_step
from benchmarks.loading import Loading
from benchmarks.models import draw_labels
from benchmarks.options import AdamWStep, HalfEncoder
from benchmarks.paths import OURS, PATHS
from benchmarks.segmenter import CROSS_ENTROPY, SegmenterStep
from benchmarks.setting import Setting, Side
from benchmarks.steps import OurStep, TextbookStep


@pytest.fixture(scope='module')
def setting(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('benchmarks'))
    return Setting(size='toy', device='cpu', batch=3, images=3, folder=folder)


def assert_same(got, expected, rtol=1e-3):
    """Compare tensors by name, each relative to its largest value."""
    assert got.keys() == expected.keys()
    for name, value in got.items():
        scale = expected[name].abs().max()
        assert scale > 0, name
        torch.testing.assert_close(value / scale, expected[name] / scale, rtol=rtol, atol=rtol)


@pytest.mark.parametrize('stage', ['match', 'prompt', 'refine'])
def test_stage_steps_have_equal_losses_and_gradients(setting, stage):
    sides = OurStep(setting, stage), TextbookStep(setting, stage)
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
    sides = OurCRF(setting), OurCRF(setting, processes=1), TextbookCRF(setting)
    written = []
    for side in sides:
        side.prepare()
        side()
        side.close()
        written.append(side.masks())
    for index, label in enumerate(sides[0].labels):
        assert (written[0][index] == written[1][index]).all()
        assert (written[0][index] == written[2][index]).all()
        assert (written[0][index] != label).any()


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


def test_options_compute_the_same(setting):
    (features, gradient), (wanted, expected) = (
        HalfEncoder(setting, dtype)() for dtype in ('bfloat16', None)
    )
    assert torch.equal(features, wanted) and torch.equal(gradient, expected)
    fused, plain = (AdamWStep(setting, fused) for fused in (True, None))
    for parameter, other in zip(
        fused.generator.parameters(), plain.generator.parameters(), strict=True
    ):
        parameter.grad = other.grad
    fused(), plain()
    assert_same(fused.generator.state_dict(), plain.generator.state_dict(), rtol=1e-4)


def test_segmenter_steps_are_equal_before_clipping_begins(setting):
    results = []
    for loss in (None, CROSS_ENTROPY):
        step = SegmenterStep(setting, loss)
        torch.manual_seed(0)  # dropout
        results.append(step.losses_and_gradients())
    assert_same(results[0][0], results[1][0], rtol=1e-5)
    assert_same(results[0][1], results[1][1])


def test_labels_are_as_many_as_asked_for():
    assert draw_labels(2000, 20).sum(1).mean() == pytest.approx(1.5, abs=0.05)
    assert draw_labels(5, 4, classes=3).sum(1).tolist() == [3] * 5


@pytest.mark.parametrize('path', list(PATHS))
def test_every_path_runs_at_toy_size(path, tmp_path):
    if path == 'crf':
        pytest.importorskip('pydensecrf')
    target = tmp_path / 'out.json'
    options = ['--size', 'toy', '--device', 'cpu', '--repeats', '1', '--no-memory']
    run.main([*options, '--path', path, '--json', str(target)])
    result = json.loads(target.read_text())
    assert result['machine']['versions']['torch'] == torch.__version__
    measured = result['paths'][path]
    assert list(measured['sides']) == list(PATHS[path].sides)
    assert measured['speedup'].keys() == PATHS[path].sides.keys() - {OURS}
    for side in measured['sides'].values():
        assert side['seconds'] > 0
        assert (side['flops'] or 0) > 0 or not PATHS[path].matmul
    if path in ('match', 'prompt', 'refine'):
        # counted, not timed: the same on every machine
        flops = {name: side['flops'] for name, side in measured['sides'].items()}
        assert flops['textbook'] > 1.5 * flops[OURS]


def test_scaling_counts_pairs_and_operations(setting):
    console = report.Console(quiet=True)
    rows = report.measure_scaling(setting, 1, report.TOY_SCALING, console)
    assert [row['pairs'] for row in rows] == [3, 12, 3]
    assert rows[1]['flops'] > rows[0]['flops'] and rows[2]['flops'] > rows[0]['flops']
    assert report.scaling_table(rows).row_count == 3


def test_a_step_is_divided_among_processes(setting):
    assert seconds_of_step(setting, 2, repeats=1) > 0


class Hog(Side):
    """Uses 64 MiB while it works."""

    def __call__(self) -> None:
        torch.ones(16 * 2**20).sum()


def test_peak_memory_is_that_of_the_call():
    torch.ones(64 * 2**20).sum()  # four times as much before does not count
    memory = measuring.memory_of_call(Hog(), 'cpu')
    if memory['before'] == 0:
        pytest.skip('the peak of a process cannot be reset here')
    assert 60 * 2**20 < memory['peak'] - memory['before'] < 160 * 2**20


def test_memory_is_measured_in_a_process_of_its_own(setting, monkeypatch, capsys):
    arguments = dict(path='curve', side=OURS, setting=vars(setting))
    monkeypatch.setattr(sys, 'argv', ['measuring', json.dumps(arguments)])
    measuring.main()
    assert json.loads(capsys.readouterr().out)['peak'] > 2**20


def test_bad_options_are_told(capsys):
    for options, complaint in (
        (['--path', 'mtach'], "invalid choice: 'mtach'"),
        (['--repeats', '0'], 'must be at least 1, got 0'),
        *([] if torch.cuda.is_available() else [(['--device', 'cuda'], 'PyTorch sees no GPU')]),
    ):
        with pytest.raises(SystemExit):
            run.parse_args(options)
        assert complaint in capsys.readouterr().err


def test_every_photo_of_a_collection_gets_its_mask(tmp_path):
    row = collection.measure('masks', collection.DISTINCT + 3, tmp_path)
    assert row['images'] == 103 and row['seconds'] > 0 and row['peak'] > 2**27
