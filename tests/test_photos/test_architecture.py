"""A model folder is data: nothing in it is run unless the user trusts it."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_run import make_run, picture

import semples_mmseg
from semples_mmseg.cli.main import main
from semples_mmseg.photos import model_out
from semples_mmseg.photos.architecture import ARCHITECTURES, describe, read_architecture
from semples_mmseg.photos.model_out import write_model
from semples_mmseg.utils.errors import MissingPackage, Refusal


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    def check_packages():
        raise MissingPackage('no onnx')

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_out, 'check_packages', check_packages)
        run = make_run(tmp_path_factory.mktemp('run'))
        write_model(run)
    return run.model


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / 'model')


def change(folder, **changed):
    file = folder / 'model.json'
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def load(folder, **options):
    return semples_mmseg.load(folder, device='cpu', **options)


@pytest.mark.parametrize('name', ['segmenter_deit-s', 'segmenter_demo'])
def test_every_architecture_of_fit_is_described(name, tmp_path):
    (tmp_path / 'run.py').write_text(f"_base_ = 'semples_mmseg::{ARCHITECTURES[name]}'\n")
    config = Config.fromfile(tmp_path / 'run.py')
    meta = dict(classes=['background', 'cat'], palette=[[0, 0, 0], [1, 2, 3]])
    file = tmp_path / 'model.json'
    file.write_text(json.dumps(describe(config, meta)))
    read, found = read_architecture(file)
    assert found == meta and read.model.class_names == ['cat']
    assert read.model.decode_head == config.model.decode_head
    assert read.model.backbone.get('init_cfg') is None
    config.model.backbone.type = 'mmpretrain.ResNet'
    with pytest.raises(Refusal, match='none of segmenter_deit-s'):
        describe(config, meta)


def test_the_program_beside_it_is_not_run(folder, tmp_path, capsys):
    program = folder / 'segmenter.py'
    text = program.read_text()
    program.write_text(f'open({str(tmp_path / "owned")!r}, "w")\n{text}')
    model = load(folder)
    (folder / 'model.json').unlink()
    with pytest.raises(Refusal, match='--trust'):
        load(folder)
    Image.fromarray(picture(40, 50)).save(tmp_path / 'photo.png')
    words = ['predict', str(folder), str(tmp_path / 'photo.png'), '--out', str(tmp_path / 'masks')]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2 and '--trust' in capsys.readouterr().err
    assert not (tmp_path / 'owned').exists()
    with pytest.raises(SystemExit) as end:
        main([*words, '--trust'])
    assert end.value.code == 0 and (tmp_path / 'owned').exists()
    (tmp_path / 'owned').unlink()
    assert load(folder).classes == model.classes and not (tmp_path / 'owned').exists()


def test_a_model_made_by_hand_needs_trust_each_time(folder, capsys):
    (folder / 'model.json').unlink()
    config = Config.fromfile(folder / 'segmenter.py')
    config.model.decode_head.loss_decode = dict(type='CrossEntropyLoss')
    config.dump(folder / 'segmenter.py')
    load(folder, trust=True)
    assert 'will need --trust again' in capsys.readouterr().err
    assert not (folder / 'model.json').exists()


def test_types_imports_and_bases_of_a_description_are_refused(folder, tmp_path, monkeypatch):
    """What a config of MMEngine would import, also as JSON."""
    monkeypatch.syspath_prepend(tmp_path)
    owned = tmp_path / 'owned'
    (tmp_path / 'evil.py').write_text(f'open({str(owned)!r}, "w")\nclass Net: pass\n')
    given = json.loads((folder / 'model.json').read_text())
    for bad in (
        dict(custom_imports=dict(imports=['evil'])),
        dict(_base_=str(tmp_path / 'evil.py')),
        dict(model=dict(type='evil.Net')),
        dict(architecture='evil.Net'),
        dict(architecture=str(tmp_path / 'evil.py')),
        dict(architecture=dict(type='evil.Net')),
        dict(numbers=given['numbers'] | {'model.type': 'evil.Net'}),
        dict(numbers=given['numbers'] | {'custom_imports.imports.0': 'evil'}),
        dict(numbers=given['numbers'] | {'model.decode_head.num_heads': 'evil.Net'}),
        dict(classes=[dict(type='evil.Net')] * 4),
    ):
        (folder / 'model.json').write_text(json.dumps(given | bad))
        with pytest.raises(Refusal, match=r'model\.json'):
            load(folder)
    assert not owned.exists()


@pytest.mark.parametrize('value', [0, -1, 2.5, True, None, 10**9, '2'])
def test_impossible_numbers_are_named(folder, value):
    numbers = json.loads((folder / 'model.json').read_text())['numbers']
    change(folder, numbers=numbers | {'model.decode_head.num_heads': value})
    with pytest.raises(Refusal, match=r'model\.json: numbers\.model\.decode_head\.num_heads'):
        load(folder)


@pytest.mark.parametrize(
    'key, value',
    [
        ('classes', 'abc'),
        ('classes', ['background', '']),
        ('classes', ['background', 'a\nb']),
        ('classes', list(range(4))),
        ('palette', [[0, 0, 0]]),
        ('palette', [[0, 0, 256]] * 4),
        ('palette', None),
        ('numbers', []),
        ('numbers', {}),
        ('format', 2),
    ],
)
def test_a_damaged_description_is_one_message(folder, key, value):
    change(folder, **{key: value})
    with pytest.raises(Refusal, match=rf'model\.json.*{key}'):
        load(folder)


@pytest.mark.parametrize(
    'meta',
    [
        [1],
        dict(dataset_meta='x'),
        dict(dataset_meta=dict(classes=3)),
        dict(dataset_meta=dict(classes=['a', 3], palette=[])),
        dict(dataset_meta=dict(classes=['a', 'b'], palette='zz')),
        dict(dataset_meta=dict(classes=['a', 'b'], palette=[[0, 0, 300]] * 2)),
    ],
)
def test_classes_of_a_checkpoint_are_checked(folder, meta):
    content = torch.load(folder / 'segmenter.pth', weights_only=True)
    torch.save(dict(content, meta=meta), folder / 'segmenter.pth')
    with pytest.raises(Refusal, match=r'segmenter\.pth'):
        load(folder)


def test_other_classes_than_the_weights_are_refused(folder):
    change(folder, classes=['background', 'a', 'b', 'c'])
    with pytest.raises(Refusal, match='other classes or colours'):
        load(folder)
