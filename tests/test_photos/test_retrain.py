"""``semples-mmseg retrain``: the training itself is part of the whole run in ``test_fit``."""

import csv
import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from semples_mmseg.photos import model_out
from semples_mmseg.photos import retrain as module
from semples_mmseg.photos.fit import begin
from semples_mmseg.photos.imports.writing import import_masks, undo_imports
from semples_mmseg.photos.inspection import inspect_photos
from semples_mmseg.photos.predicting import model_files
from semples_mmseg.photos.run import Run
from semples_mmseg.photos.settings import choose_settings
from semples_mmseg.utils.label_png import read_mask, write_mask
from semples_mmseg.utils.linter import lint
from semples_mmseg.utils.record import Record


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run of twelve photos; its retraining predicts what is corrected."""
    for number in range(12):
        photo = tmp_path / 'photos' / ('cup', 'key')[number % 2] / f'{number:02}.png'
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (number, 0, 0)).save(photo)
    found = inspect_photos(tmp_path / 'photos', None)
    run = Run(tmp_path / 'run')
    begin(run, found, found.usable(False, False), choose_settings(found.sizes.values(), 'demo'))
    for number, name in enumerate(run.labels()):
        mask = np.zeros((8, 8), int)
        mask[:4] = number // 6 + 1
        write_mask(run.masks / f'{name}.png', mask)
        write_mask(run.predictions / f'{name}.png', mask)
    record = run.record()
    record.begin('predictions', {}, {})
    record.finish('predictions', [run.predictions])

    def train(recipe, console, verbose, way):
        after = Run(recipe.folder)
        after.logs.mkdir(exist_ok=True)
        assert [step.name for step in recipe.steps] == ['Segmenter', 'predictions']
        lint(Config.fromfile(after.segmenter_config))
        calls.append(sorted(path.name for path in after.masks.rglob('*.png')))
        for name in run.labels():
            source = run.corrected if name in run.made_by_hand() else run.masks
            write_mask(after.predictions / f'{name}.png', read_mask(source / f'{name}.png'))

    calls: list[list[str]] = []
    monkeypatch.setattr(module, 'run_steps', train)
    monkeypatch.setattr(model_out, 'write_model', lambda *given: calls.append(given[1]))
    return run, calls


def correct(run, names, folder, value=2):
    """Import masks in which a part is another class."""
    for name in names:
        mask = read_mask(run.masks / f'{name}.png')
        mask[:, 4:] = value
        write_mask(folder / f'{name}.png', mask)
    import_masks(run.folder, folder)


def test_every_fifth_corrected_photo_is_held_out_and_measures_both(run, tmp_path, capsys):
    (run, calls), names = run, [*run[0].labels()]
    correct(run, names[:11], tmp_path / 'png')
    after = module.retrain(run.folder)
    held_out = [names[4], names[9]]
    trained = (after.data / 'list.txt').read_text().split()
    assert trained == [name for name in names if name not in held_out]
    assert calls == [sorted(f'{name.rpartition("/")[2]}.png' for name in trained), 9]
    for name in trained:
        source = run.masks if name == names[11] else run.corrected
        np.testing.assert_array_equal(
            read_mask(after.masks / f'{name}.png'), read_mask(source / f'{name}.png')
        )
    config = Config.fromfile(after.segmenter_config)
    assert config.train_dataloader.batch_size == 10 and config.train_dataloader.dataset.ann_file
    assert config.test_dataloader.dataset.ann_file == 'list.txt'  # all photos are predicted
    about = Record(after.folder)['comparison'].about
    assert about['held_out'] == held_out and about['mIoU'][0] < 60 and about['mIoU'][1] == 100
    assert about['changed'] == 11
    with open(after.folder / 'changes.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['photo'] for row in rows if row['held_out'] == '1'] == held_out
    assert rows[-1] == dict(
        photo=names[11], changed_prediction='0.0000', changed_by_hand='', held_out='0'
    )
    shown = capsys.readouterr().out
    assert 'masks made by hand: 11 of 12' in shown and '100.0 % after, on 2 photos' in shown
    assert module.summary(run)[0] == ('masks made by hand', '11 of 12')


def test_few_masks_are_all_trained_on_and_other_ones_begin_anew(run, tmp_path, capsys):
    (run, calls), names = run, [*run[0].labels()]
    with pytest.raises(FileNotFoundError, match='no corrected masks.*import'):
        module.retrain(run.folder)
    correct(run, names[:9], tmp_path / 'png')
    after = module.retrain(run.folder)
    shown = capsys.readouterr().out
    assert 'too few' in shown and 'anew' not in shown and len(calls[0]) == 12
    (after.folder / 'segmenter').mkdir()
    module.retrain(run.folder)
    assert (after.folder / 'segmenter').is_dir()  # the same masks: it is continued
    correct(run, names[:1], tmp_path / 'later', 1)
    module.retrain(run.folder)
    assert 'anew' in capsys.readouterr().out and not (after.folder / 'segmenter').exists()
    for folder in (run.model, after.model):
        folder.mkdir(parents=True)
        for name in ('model.json', 'segmenter.pth'):
            (folder / name).write_text('{}')
    assert model_files(run.folder)[0].parent == after.model
    assert model_files(run.model)[0].parent == run.model
    undo_imports(run.folder)
    assert model_files(run.folder)[0].parent == run.model and not after.folder.exists()


def test_an_unfinished_run_or_import_is_refused(run, tmp_path):
    run, _ = run
    correct(run, [*run.labels()][:1], tmp_path / 'png')
    record = run.record()
    record.begin('corrected', {}, {}, anew=True, masks=record['corrected'].about['masks'])
    with pytest.raises(ValueError, match='import of masks was stopped'):
        module.retrain(run.folder)
    entries = json.loads((run.folder / 'record.json').read_text())
    del entries['predictions']
    (run.folder / 'record.json').write_text(json.dumps(entries))
    import_masks(run.folder, tmp_path / 'png')
    with pytest.raises(FileNotFoundError, match='not finished'):
        module.retrain(run.folder)
