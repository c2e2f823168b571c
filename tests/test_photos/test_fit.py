"""``semples-mmseg check`` and ``fit``: what is found, what is refused, and a whole tiny run."""

import csv
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

import semples_mmseg
from semples_mmseg.cli.main import main
from semples_mmseg.photos import fit, inspection, model_out
from semples_mmseg.photos import settings as settings_module
from semples_mmseg.photos.confidence import read_confidence
from semples_mmseg.photos.configs import write_configs
from semples_mmseg.photos.fit import begin, check_weights
from semples_mmseg.photos.inspection import inspect_photos
from semples_mmseg.photos.run import Run
from semples_mmseg.photos.settings import choose_settings
from semples_mmseg.photos.tags import TaggedPhotos
from semples_mmseg.runs.forecast import Cost
from semples_mmseg.utils.checks import check_files
from semples_mmseg.utils.label_png import read_mask, write_mask
from semples_mmseg.utils.linter import lint
from semples_mmseg.weights import hub

COLOURS = {'cup': (220, 40, 40), 'key': (40, 200, 60)}


def draw(path, tags, rng, size=(32, 40)):
    pixels = rng.integers(90, 150, (*size, 3), np.uint8)
    for position, tag in enumerate(tags):
        pixels[4:16, 4 + 16 * position : 16 + 16 * position] = COLOURS[tag]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    """Twelve photos of mixed suffixes and folders, two of one stem; and their table."""
    rng = np.random.default_rng(0)
    names = [f'{i}.png' for i in range(8)] + ['far/ä b.JPG', 'x.jpg', 'x.png', 'none.png']
    tags = [['cup'], ['key'], ['cup', 'key']] * 4
    labels = dict(zip(names, tags[:11] + [[]], strict=True))
    for name, own in labels.items():
        draw(tmp_path / 'photos' / name, own, rng, (48, 40) if name == 'none.png' else (32, 40))
    with open(tmp_path / 'tags.csv', 'w', encoding='utf-8') as file:
        file.write('image,tags\n')
        file.writelines(f'{name},{";".join(own)}\n' for name, own in labels.items())
    return tmp_path / 'photos', tmp_path / 'tags.csv', labels


def run_command(*words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def test_check_describes_a_set_and_what_to_do(photos, tmp_path, capsys, monkeypatch):
    folder, table, _ = photos
    words = ('check', folder, '--tags', table, '--weights', 'demo')
    assert run_command(*words) == 0  # there are 7 photos of each class: advice
    assert '1 finding: fit will start' in capsys.readouterr().out
    monkeypatch.setattr(inspection, 'ENOUGH', 5)
    assert run_command(*words) == 0
    shown = capsys.readouterr().out
    assert '12 tagged photos (CSV), 40 x 32 pixels to 40 x 48, 1 of no class' in shown
    assert 'a photo of cup.' in shown and 'all is well' in shown and 'roughly 0:0' in shown
    (folder / '0.png').write_bytes(b'no picture')
    (folder / 'extra.png').write_bytes(b'not in the table')
    with open(table, 'a') as file:
        file.write('1.png,boat\n2.png,7\n3.png,7\n')
    assert run_command(*words) == 1
    shown = capsys.readouterr().out
    assert '1 photo cannot be read, such as 0.png' in shown and '--skip-unreadable' in shown
    assert 'boat (1)' in shown and '--skip-rare' in shown and 'no words: 7;' in shown
    assert '1 photo (extra.png)' in shown and 'fit will not start' in shown
    for option, value in (('--epochs', '0'), ('--classes', tmp_path / 'none.txt')):
        assert run_command(*words, option, value) == 2
        assert option in capsys.readouterr().err


def test_check_finds_weights_as_fit_does(photos, capsys, monkeypatch):
    """DeiT-S is on disk, CLIP is not."""
    folder, table, _ = photos
    words = ('check', folder, '--tags', table, '--json', '--weights', 'pretrained')
    kept = {'kept_file': Path(__file__), '_kept_tag': None}
    for name, file in kept.items():
        monkeypatch.setattr(hub, name, lambda *_, file=file: file)
    for answers in (True, False):
        monkeypatch.setattr(hub, 'reachable', lambda address, answers=answers: answers)
        assert run_command(*words) == (not answers)
        shown = json.loads(capsys.readouterr().out)
        assert shown['classes'] == {'cup': 7, 'key': 7} and shown['forecast']['seconds'] > 999
        assert shown['fit_starts'] is answers and ('weights' in shown['findings']) is not answers
        assert len(shown['downloads']) == answers
    assert '--clip FILE of semples-mmseg fit' in shown['findings']['weights']


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda folder, table: (folder / '0.png').write_bytes(b''), '--skip-unreadable'),
        (lambda folder, table: table.write_text('image,tag\n0,cup\n1,key\n2,key\n'), 'cup (1)'),
        (lambda folder, table: table.write_text('image,tag\nmissing.jpg,cup\n'), 'row 2'),
        (lambda folder, table: table.unlink(), 'no tag table'),
    ],
    ids=['unreadable', 'one photo', 'no such photo', 'no table'],
)
def test_what_is_wrong_ends_before_work_starts(photos, tmp_path, capsys, spoil, message):
    folder, table, _ = photos
    spoil(folder, table)
    out = tmp_path / 'run'
    assert run_command('fit', folder, '--tags', table, '--weights', 'demo', '--out', out) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_for_the_run_that_is_none(photos):
    folder, table, _ = photos
    for out, message in (
        (folder / 'run', 'inside the folder of photos'),
        (table, 'cannot be made'),
    ):
        with pytest.raises(ValueError, match=message):
            semples_mmseg.fit(str(folder), str(table), str(out), weights='demo')


@pytest.fixture
def begun(photos, tmp_path):
    """What begins the run again with some changes, and the run."""
    folder, table, _ = photos
    run = Run(tmp_path / 'run')

    def again(out=run.folder, folder=folder, table=table, weights='demo', **changes):
        found = inspect_photos(folder, table, known=Run(out).known_sizes(folder))
        usable = found.usable(False, False)
        settings = choose_settings(found.sizes.values(), weights, **changes)
        return begin(Run(out), found, usable, settings)

    again()
    return again, run


def test_a_run_is_continued_with_what_it_was_made_from_alone(begun, photos, tmp_path, monkeypatch):
    (again, run), (folder, table, _) = begun, photos
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob('*')}
    monkeypatch.chdir(tmp_path)
    for out in ('run', './run', run.folder.absolute()):
        again(Path(out))
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob('*')} == before
    for changes, named in ((dict(seed=1), 'seed'), (dict(epochs=7), 'epochs')):
        with pytest.raises(ValueError, match=rf'{named}.*--out'):
            again(**changes)
    text = table.read_text()
    table.write_text(text + 'x.png,cup\n')
    with pytest.raises(ValueError, match=r'labels\.x\.png.*--out'):
        again()
    table.write_text(text)
    draw(folder / '3.png', ['cup'], np.random.default_rng(1), (64, 64))
    with pytest.raises(ValueError, match=r'3\.png has other content.*--out'):
        again()


def test_other_files_of_weights_are_noticed_and_the_same_ones_may_move(begun, tmp_path):
    again, _ = begun
    out, files = tmp_path / 'own', {}
    for name in ('deit', 'clip', 'other'):
        files[name] = tmp_path / name
        files[name].write_text(name)
    given = dict(weights='pretrained', backbone=files['deit'], clip=files['clip'])
    again(out, **given)
    for changes, named in (
        (dict(clip=files['other']), 'clip has other content'),
        (dict(backbone=files['other']), 'backbone has other content'),
        (dict(backbone=None), 'backbone is gone'),
        (dict(weights='demo'), 'weights pretrained there, demo now'),
    ):
        with pytest.raises(ValueError, match=rf'{named}.*--out'):
            again(out, **(given | changes))
    moved = shutil.move(files['clip'], tmp_path / 'elsewhere')
    again(out, **(given | dict(clip=moved)))
    assert Config.fromfile(Run(out).semples_config).model.clip.pretrained == str(moved)


def test_a_config_or_record_changed_by_hand_is_noticed(begun):
    again, run = begun
    text = run.semples_config.read_text()
    run.semples_config.write_text(text.replace('seed', 'SEED'))
    with pytest.raises(ValueError, match=r'semples\.py was changed'):
        again()
    run.semples_config.unlink()  # as the message says
    again()
    assert run.semples_config.read_text() == text
    for content in ('[]', '{}', '{"run": {"classes": 3}}', '{'):
        (run.folder / 'record.json').write_text(content)
        with pytest.raises(ValueError, match=r'record\.json|no run'):
            again()


def test_a_killed_start_is_continued_and_a_folder_of_other_files_is_refused(begun, tmp_path):
    again, run = begun
    entries = json.loads((run.folder / 'record.json').read_text())
    entries['run']['outputs'] = None
    out = tmp_path / 'killed'
    (out / 'data').mkdir(parents=True)
    (out / 'record.json').write_text(json.dumps(entries))
    (out / 'data' / '.list.txt.abcdefgh.tmp').write_text('half')
    again(out)
    assert Config.fromfile(Run(out).semples_config).stages
    with pytest.raises(FileExistsError, match='no run'):
        again(run.data)


def test_a_run_and_its_photos_can_be_moved(begun, photos, tmp_path):
    (again, run), (folder, _, _) = begun, photos
    moved = tmp_path / 'elsewhere'
    moved.mkdir()
    shutil.move(run.folder, moved / 'run')
    shutil.move(folder, moved / 'photos')
    again(moved / 'run', moved / 'photos')
    for path in (Run(moved / 'run').semples_config, Run(moved / 'run').segmenter_config):
        dataset = Config.fromfile(path).train_dataloader.dataset
        assert Path(dataset.data_root).resolve() == moved / 'run' / 'data'
        assert dataset.data_prefix.img_path == str(moved / 'photos')


def test_photos_that_have_not_changed_are_decoded_once(begun, photos, monkeypatch):
    (again, run), (folder, table, _) = begun, photos
    decoded = []

    def decode(files, description):
        decoded.extend(Path(file.image).name for file in files)
        return map(check_files, files)

    monkeypatch.setattr('semples_mmseg.photos.inspection.check_all', decode)
    again()
    assert not decoded
    (folder / '3.png').write_bytes(b'no picture')
    found = inspect_photos(folder, table, known=run.known_sizes(folder))
    assert decoded == ['3.png'] and set(found.unreadable) == {'3.png'} and len(found.sizes) == 11


def test_missing_weights_name_the_option(tmp_path):
    one = {'clip': tmp_path / 'none.pt'}
    with pytest.raises(FileNotFoundError, match='--clip: there is no file'):
        check_weights(choose_settings([(9, 9)] * 2, backbone=Path(__file__), **one))
    with pytest.raises(ValueError, match='--clip has no effect'):
        check_weights(choose_settings([(9, 9)] * 2, 'demo', **one))


@pytest.mark.parametrize('weights', ['demo', 'pretrained'])
@pytest.mark.parametrize('photos', [2, 600, 100_000])
def test_there_are_steps_for_any_number_of_photos(weights, photos):
    settings = choose_settings([(1000, 1000)] * photos, weights)
    for length in (*settings.stages.values(), settings.segmenter):
        assert length.batch <= photos and length.steps(photos) >= 4


def test_large_photos_cost_more_and_are_loaded_by_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(settings_module, 'usable_cores', lambda: 2)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    chosen = [choose_settings([size] * 200, 'small') for size in ((500, 375), (4032, 3024))]
    assert [settings.workers for settings in chosen] == [0, 2]
    usual, large = (settings.forecast(200)['seconds'] for settings in chosen)
    assert 1.1 * usual < large < 4 * usual
    run = Run(tmp_path / 'run')
    tagged = TaggedPhotos(tmp_path / 'p', 'JSON', ('cow',), {'a.jpg': ('cow',)}, ())
    for weights in ('small', 'pretrained'):
        write_configs(run, tagged, replace(chosen[1], weights=weights))
        config = Config.fromfile(run.semples_config)
        loaders = [config.train_dataloader.dataset.pipeline]
        loaders += [stage.train_pipeline for stage in config.stages if 'train_pipeline' in stage]
        assert all(loader[1].least_side >= 384 for loader in loaders)
        loaders.append(Config.fromfile(run.segmenter_config).train_dataloader.dataset.pipeline)
        # Without it the processes of an epoch end with it.
        assert all(loader[0].type == 'SeedEachImage' for loader in loaders)


def test_configs_name_classes_data_and_weights(tmp_path):
    settings = choose_settings([(1000, 1000)] * 20, backbone=tmp_path / 'd', clip=tmp_path / 'c')
    run = Run(tmp_path / 'run')
    tags = {'a.jpg': ('cow',), 'b.jpg': (), 'b.png': ('person|player',)}
    tagged = TaggedPhotos(tmp_path / 'p', 'JSON', ('person|player', 'cow'), tags, ())
    write_configs(run, tagged, settings)
    semples = Config.fromfile(run.semples_config)
    segmenter = Config.fromfile(run.segmenter_config)
    for config in (semples, segmenter):  # whose types have the scope of the package
        lint(config)
    assert semples.model.class_names == ['person|player', 'cow']
    assert segmenter.model.class_names == ['person', 'cow']
    assert [stage.name for stage in semples.stages] == ['classify', 'match', 'prompt', 'refine']
    assert semples.stages[2].optim_wrapper.optimizer.lr == pytest.approx(0.1 * 16 / 512)
    assert semples.model.clip.pretrained == str(tmp_path / 'c')
    for config, backbone in ((semples, semples.model.mask_generator.backbone),
                             (segmenter, segmenter.model.backbone)):  # fmt: skip
        assert backbone.init_cfg.checkpoint == f'weights:{tmp_path / "d"}'
        assert config.train_dataloader.dataset.data_prefix.img_path == str(tmp_path / 'p')
        assert config.val_dataloader is None
        assert config.train_dataloader.dataset.img_suffix == ['.jpg', '']
    assert 'seg_map_path' not in semples.train_dataloader.dataset.data_prefix


def test_a_whole_run(photos, tmp_path, capsys, monkeypatch, steps_in_process):
    folder, table, labels = photos
    out = tmp_path / 'run'
    words = ['fit', folder, '--tags', table, '--weights', 'demo', '--epochs', '1', '--out', out]
    assert run_command(*words) == 0
    run = Run.open(out)
    names = [f'{i}' for i in range(8)] + ['far/ä b', 'x.jpg', 'x.png', 'none']
    assert sorted(run.labels()) == sorted(names)
    for name in names:
        mask = Image.open(run.masks / f'{name}.png')
        assert mask.mode == 'P' and mask.size == (40, 48 if name == 'none' else 32)
        assert mask.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        allowed = {0, *(1 + list(COLOURS).index(tag) for tag in run.labels()[name])}
        assert {*np.unique(read_mask(run.masks / f'{name}.png'))} <= allowed
    entries = json.loads((run.masks / 'classes.json').read_text())
    assert [(entry['id'], entry['name']) for entry in entries] == [
        (0, 'background'), (1, 'cup'), (2, 'key'),
    ]  # fmt: skip
    with open(run.confidence, encoding='utf-8') as file:
        assert len(list(csv.DictReader(file))) == sum(map(len, labels.values()))
    values = [row.confidence for row in read_confidence(run)]
    assert values == sorted(values) and values[0] >= 0 and values[-1] <= 1
    terminal = capsys.readouterr().out.splitlines()
    assert len(terminal) < 50
    # Where nothing but the clock has changed, the same command has nothing left to do.
    for path in (*folder.rglob('*.*'), *out.rglob('*.*')):
        os.utime(path, (1, path.stat().st_mtime - 4000))
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*.p*')}
    assert run_command(*words, '--overlays') == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert capsys.readouterr().out.count('complete, skipped') == 4
    overlays = {path.relative_to(run.overlays).as_posix() for path in run.overlays.rglob('*.*')}
    assert overlays == {f'{name}.jpg' for name in names}
    # The example of the documentation has nothing left to do, and exports the masks.
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / 'docs' / 'own_photos.md'
    (example,) = re.findall(r'```python\n(.*?)```', page.read_text(encoding='utf-8'), re.S)
    exec(example.replace("weights='demo'", "weights='demo', epochs=1"), {})
    coco = json.loads((tmp_path / 'masks.json').read_text())
    assert len(coco['images']) == 12
    if (run.model / 'segmenter.onnx').is_file():
        assert run_command('predict', out, folder / '0.png', '--out', tmp_path / 'quick') == 0
        assert 'by onnxruntime;' in capsys.readouterr().out
    # Masks that were corrected by hand, and the model of them, without a second ONNX file.
    monkeypatch.setattr(model_out, 'export_onnx', lambda config, weights, onnx: onnx.touch())
    torch = ('--engine', 'torch')
    shutil.copytree(run.masks, hand := tmp_path / 'hand')
    for name in names:
        mask = read_mask(hand / f'{name}.png')
        mask[20:] = 1
        write_mask(hand / f'{name}.png', mask)
    assert run_command('import', out, hand) == run_command('retrain', out) == 0
    shown = capsys.readouterr().out
    assert '12 corrected masks' in shown and 'on 2 photos held out' in shown
    about = json.loads((run.retrained / 'model' / 'model.json').read_text())
    assert about['masks_made_by_hand'] == 10
    assert json.loads((run.model / 'model.json').read_text())['masks_made_by_hand'] == 0
    assert run_command('predict', out, folder, '--out', tmp_path / 'new', *torch) == 0
    for again in (['retrain', out], words):
        assert run_command(*again) == 0
    assert capsys.readouterr().out.count('complete, skipped') == 2 + 4


def test_the_former_name_of_fit_warns(photos):
    folder, table, _ = photos
    with pytest.warns(FutureWarning, match='semples_mmseg.fit'):
        semples_mmseg.label(folder, table, weights='demo', dry_run=True)
    assert semples_mmseg.fit is fit.fit


def test_measuring_forecasts_the_steps_and_leaves_nothing(photos, tmp_path, monkeypatch, capsys):
    folder, table, _ = photos
    asked = []

    def forecast(recipe, console):
        asked.extend(step.name for step in recipe.steps)
        assert recipe.steps[0].config_file == recipe.folder / 'configs/semples.py'
        assert recipe.steps[0].config_file.is_file()
        return [Cost('stages', 12, 90)]

    monkeypatch.setattr(fit, 'forecast', forecast)
    where = ('fit', folder, '--tags', table, '--out', tmp_path / 'run', '--weights', 'demo')
    assert run_command(*where, '--measure') == 0
    assert asked == ['stages', 'pseudo masks', 'Segmenter', 'predictions']
    shown = capsys.readouterr().out
    assert '0:01:30' in shown and '--epochs' in shown  # options of fit alone
    assert '--gpus' not in shown and 'stages.N' not in shown
    assert not (tmp_path / 'run').exists()
