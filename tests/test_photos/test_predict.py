"""The finished model of a run: written, loaded from anywhere, and run without PyTorch."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model
from PIL import Image
from run_tool import run_tool
from test_mmseg_tools import MMSEG_TOOLS
from tiny_run import CLASSES, MAX_SIDE, make_run, picture

import semples_mmseg
from semples_mmseg.cli.main import main
from semples_mmseg.photos import model_out, onnx_export
from semples_mmseg.photos.model_out import write_model
from semples_mmseg.photos.onnx_model import OnnxModel
from semples_mmseg.utils.errors import MissingPackage
from semples_mmseg.utils.label_png import class_colours, read_class_colours, read_mask
from semples_mmseg.utils.record import Record

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import runpy, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'cv2',
                                  'scipy', 'matplotlib', 'open_clip', 'timm'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Absent())
sys.modules['torch'] = None
"""
PHOTOS = {
    'a/one.jpg': (60, 90),
    'a/two.PNG': (75, 75),
    'large.tif': (300, 420),
    'strip.png': (20, 250),
    'twice.jpg': (40, 50),
    'twice.png': (50, 40),
}
NAMES = {'a/one', 'a/two', 'large', 'strip', 'twice.jpg', 'twice.png'}


@pytest.fixture(scope='module')
def model_folder(tmp_path_factory):
    """``run/model``, moved elsewhere; the run is gone."""
    run = make_run(tmp_path_factory.mktemp('run'))
    shutil.move(run.segmenter, run.folder / 'later')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, 'sleep', lambda _: shutil.move(run.folder / 'later', run.segmenter))
        model_out._export(run, True)  # as a process does while the model is trained
    prepared = len(onnx_export._PREPARED)
    files = write_model(run)
    assert prepared == len(files) - 4 and not onnx_export._PREPARED
    names = {file.name for file in files} - {'segmenter.onnx'}
    assert names == {'segmenter.py', 'segmenter.pth', 'classes.json', 'model.json'}
    assert {file.parent for file in files} == {run.model}
    moved = tmp_path_factory.mktemp('elsewhere') / 'model'
    shutil.move(run.model, moved)
    shutil.rmtree(run.folder)
    return moved


@pytest.fixture
def onnx(model_folder, no_onnx):
    """The ONNX file in it."""
    if no_onnx:
        pytest.skip(no_onnx)
    return model_folder / 'segmenter.onnx'


def test_a_cut_file_of_the_model_is_noticed_and_made_again(tmp_path, monkeypatch):
    def check_packages():
        raise MissingPackage('no onnx')

    monkeypatch.setattr(model_out, 'check_packages', check_packages)
    run = make_run(tmp_path / 'run')
    files = write_model(run)
    names = ['segmenter.py', 'segmenter.pth', 'classes.json', 'model.json']
    assert [file.name for file in files] == names
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r'segmenter\.pth was changed.*delete it'):
        write_model(run)
    files[1].unlink()
    assert write_model(run) == files
    assert len(files[1].read_bytes()) == len(whole)
    # The run has trained its Segmenter again, with another result.
    trained = torch.load(run.segmenter_weights, weights_only=True)
    name = next(iter(trained['state_dict']))
    trained['state_dict'][name] += 1
    torch.save(trained, run.segmenter_weights)
    assert write_model(run) == files
    again = torch.load(files[1], weights_only=True)['state_dict'][name]
    assert torch.equal(again, trained['state_dict'][name])


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    for seed, (name, size) in enumerate(PHOTOS.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(*size, seed)).save(folder / name)
    return folder


def predict(*words):
    with pytest.raises(SystemExit) as end:
        main(['predict', *map(str, words)])
    return end.value.code


def masks_below(folder):
    return {
        path.relative_to(folder).as_posix().removesuffix('.png'): read_mask(path)
        for path in folder.rglob('*.png')
    }


def test_a_full_disk_is_an_error_of_the_machine_and_an_empty_mask_no_mask(
    onnx, photos, tmp_path, monkeypatch, capsys
):
    out = tmp_path / 'masks'
    words, fsync, files = (onnx, photos, '--out', out), os.fsync, []

    def full(file):
        files.append(file)
        if len(files) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full)
        assert predict(*words) == 1
    assert 'the disk is full' in capsys.readouterr().err
    done = [*out.rglob('*.png')]
    assert 0 < len(done) < len(NAMES)
    done[0].write_bytes(b'')
    assert predict(*words) == 0
    assert masks_below(out).keys() == NAMES


def test_mmsegs_interfaces_take_the_files_from_any_folder(
    model_folder, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    config, weights = str(model_folder / 'segmenter.py'), str(model_folder / 'segmenter.pth')
    expected = semples_mmseg.load(model_folder).predict(photos / 'large.tif')
    assert expected.shape == (300, 420) and len(np.unique(expected)) >= 3
    model = init_model(config, weights, device='cpu')
    assert tuple(model.dataset_meta['classes']) == CLASSES
    assert model.dataset_meta['palette'] == class_colours(4)
    sample = inference_model(model, str(photos / 'large.tif'))
    assert np.array_equal(sample.pred_sem_seg.data[0].numpy(), expected)
    inferencer = MMSegInferencer(config, weights, device='cpu')
    assert tuple(inferencer.model.dataset_meta['classes']) == CLASSES
    found = inferencer(str(photos / 'large.tif'))['predictions']
    assert np.array_equal(found, expected)
    # weights alone: no optimizer, no code
    assert set(torch.load(weights, weights_only=True)) == {'state_dict', 'meta'}
    assert read_class_colours(model_folder) == ([*CLASSES], class_colours(4))


def test_mmsegs_test_tool_measures_it(model_folder, photos, tmp_path, monkeypatch):
    data = tmp_path / 'data'
    shutil.copytree(photos / 'a', data / 'images')
    (data / 'masks').mkdir()
    model = semples_mmseg.load(model_folder)
    for photo in (data / 'images').iterdir():
        Image.fromarray(model.predict(photo)).save(data / 'masks' / f'{photo.stem}.png')
    monkeypatch.setenv('DATA_ROOT', str(data))
    files = (model_folder / 'segmenter.py', model_folder / 'segmenter.pth')
    run_tool(MMSEG_TOOLS / 'test.py', *files, '--work-dir', tmp_path / 'work')
    (scores,) = (tmp_path / 'work').rglob('*.json')
    assert json.loads(scores.read_text())['aAcc'] == 100


def test_onnx_labels_are_those_of_pytorch(model_folder, onnx, photos):
    file, onnx = onnx, OnnxModel(onnx)
    model = semples_mmseg.load(model_folder)
    assert onnx.classes == model.classes == CLASSES and onnx.palette == model.palette
    assert onnx.max_side == MAX_SIDE
    content = file.read_bytes()  # nothing of this machine, and the same in every run
    assert b'site-packages' not in content and b'.py' not in content and b' at 0x' not in content
    equal = []
    for name, size in {**PHOTOS, 'tiny': (9, 5)}.items():
        photo = photos / name if name in PHOTOS else picture(*size)
        expected, found = model.predict(photo), onnx.predict(photo)
        assert found.shape == size and found.dtype == np.uint8
        equal.append((found == expected).flatten())
        assert equal[-1].mean() >= 0.995, name
    assert np.concatenate(equal).mean() >= 0.999
    narrow = semples_mmseg.load(file, max_side=80).predict(photos / 'large.tif')
    narrow = onnx.predict(photos / 'large.tif') != narrow
    assert 0 < narrow.mean() < 0.5
    with pytest.raises(ValueError, match=r'uint8 \(H, W, 3\) in RGB'):
        onnx.predict(np.zeros((4, 4), np.uint8))


def test_masks_of_a_folder_and_going_on(model_folder, photos, tmp_path, capsys):
    out = tmp_path / 'masks'

    def run(*options, out=out):
        return predict(model_folder, photos, '--out', out, *options), capsys.readouterr()

    code, said = run('--device', 'cpu')
    assert code == 0 and f'6 masks written to {out} by PyTorch;' in said.out
    masks = masks_below(out)
    assert masks.keys() == NAMES
    model = semples_mmseg.load(model_folder)
    assert np.array_equal(masks['a/two'], model.predict(photos / 'a/two.PNG'))
    with Image.open(out / 'large.png') as image:
        assert image.mode == 'P' and image.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
    assert read_class_colours(out)[0] == [*CLASSES]

    (out / 'large.png').unlink()
    (photos / 'broken.jpg').write_bytes(b'no photo')
    code, said = run()
    assert code == 2 and '1 mask written' in said.out and '5 there already' in said.out
    assert 'left out: image' in said.err and 'broken.jpg cannot be read' in said.err
    assert 'error: 1 of 7 photos cannot be read' in said.err
    code, said = run('--skip-unreadable', '--overlays', '--json')
    assert json.loads(said.out)['there'] == 6
    assert code == 0 and masks_below(out).keys() == NAMES
    with Image.open(out / 'overlays/a/one.jpg') as image:
        assert image.size == (90, 60)

    code, said = run('--max-side', '80')
    assert code == 2 and 'max_side None there, 80 now' in said.err and '--out' in said.err
    assert 'is the folder of the photos' in run(out=photos)[1].err
    for _ in range(2):
        assert run('--skip-unreadable', out=photos / 'masks')[0] == 0
    assert masks_below(photos / 'masks').keys() == NAMES  # no masks of masks


def test_a_run_is_predicted_by_the_onnx_file_of_its_weights(
    model_folder, onnx, photos, tmp_path, capsys
):
    run, out = tmp_path / 'run', tmp_path / 'masks'
    shutil.copytree(model_folder, run / 'model')
    record = Record(run)
    record.begin('model', {}, {})
    record.finish('model', (run / 'model').iterdir())

    def said(*words, out=out):
        code = predict(run, photos / 'large.tif', '--out', out, *words)
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    assert 'by onnxruntime;' in said()[1]
    assert np.array_equal(
        read_mask(out / 'large.png'), OnnxModel(onnx).predict(photos / 'large.tif')
    )
    for words in (('--engine', 'torch'), ('--device', 'cpu')):
        code, text = said(*words)
        assert code == 2 and 'engine onnxruntime there, PyTorch now' in text
    weights = torch.load(run / 'model/segmenter.pth', weights_only=True)
    torch.save(dict(weights, more=1), run / 'model/segmenter.pth')
    assert 'by PyTorch;' in said(out=tmp_path / 'others')[1]
    assert 'by onnxruntime,' in said('--engine', 'onnx')[1]
    assert predict(onnx, photos, '--engine', 'torch', '--out', out) == 2


def test_a_replaced_photo_and_a_changed_mask_are_noticed(onnx, photos, tmp_path, capsys):
    out = tmp_path / 'masks'

    def run():
        return predict(onnx, photos, '--out', out), capsys.readouterr()

    assert run()[0] == 0
    Image.fromarray(picture(30, 40)).save(photos / 'new.png')
    code, said = run()
    assert code == 0 and '1 mask written' in said.out
    Image.fromarray(read_mask(out / 'new.png')).save(out / 'new.png')  # without colours
    code, said = run()
    assert code == 2 and f'{out / "new.png"} was changed' in said.err
    (out / 'new.png').unlink()  # as the message says
    assert run()[0] == 0
    Image.fromarray(picture(50, 20)).save(photos / 'new.png')
    code, said = run()
    assert code == 2 and 'new has other content' in said.err
    for content in ('[]', '3', '{'):
        (out / 'record.json').write_text(content)
        code, said = run()
        assert code == 2 and 'record.json' in said.err and 'Traceback' not in said.err


def test_what_cannot_be_predicted_is_named(model_folder, photos, tmp_path, capsys):
    def error(*words):
        assert predict(*words, '--out', tmp_path / 'out') == 2
        return capsys.readouterr().err

    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.onnx').write_text('no model')
    assert 'no photo and no folder at' in error(model_folder, tmp_path / 'gone.jpg')
    assert 'holds no photo' in error(model_folder, tmp_path / 'empty')
    assert 'holds no finished model' in error(tmp_path / 'empty', photos)
    assert 'cannot be read as an ONNX file' in error(tmp_path / 'text.onnx', photos)
    assert 'would be the same file' in error(
        model_folder, photos / 'a/one.jpg', shutil.copytree(photos / 'a', tmp_path / 'other')
    )
    assert not (tmp_path / 'out').exists()


def test_an_onnx_file_needs_no_torch(model_folder, onnx, photos, tmp_path):
    """The command, and Python's ``load``, in processes that have no PyTorch and no OpenMMLab."""
    options = dict(capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    out = tmp_path / 'masks'
    arguments = ['semples-mmseg', 'predict', str(onnx), str(photos), '--out', str(out)]
    command = f'sys.argv = {arguments!r}\nrunpy.run_module("semples_mmseg", run_name="__main__")'
    done = subprocess.run([sys.executable, '-c', WITHOUT_TORCH + command], **options)
    assert done.returncode == 0, done.stderr
    model = OnnxModel(onnx)
    masks = masks_below(out)
    assert masks.keys() == NAMES
    assert np.array_equal(masks['large'], model.predict(photos / 'large.tif'))
    code = (
        'import numpy as np, semples_mmseg\n'
        f'mask = semples_mmseg.load({str(model_folder)!r}).predict({str(photos / "large.tif")!r})\n'
        f'np.save({str(tmp_path / "mask.npy")!r}, mask)\n'
    )
    done = subprocess.run([sys.executable, '-c', WITHOUT_TORCH + code], **options)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / 'mask.npy'), masks['large'])


def test_the_tool_refuses_what_an_onnx_file_cannot_hold(model_folder, onnx, tmp_path):
    config = Config.fromfile(model_folder / 'segmenter.py')
    weights, out = model_folder / 'segmenter.pth', tmp_path / 'x.onnx'

    def refused(message, changed):
        changed.dump(tmp_path / 'changed.py')
        with pytest.raises(ValueError, match=message):
            run_tool('export_onnx.py', tmp_path / 'changed.py', weights, '--out', out)

    tagged, flipped = deepcopy(config), deepcopy(config)
    tagged.model.test_cfg.restrict_to_image_labels = True
    refused('needs tags', tagged)
    flipped.test_dataloader.dataset.pipeline[2] = dict(type='RandomFlip', prob=0.5)
    refused('has RandomFlip', flipped)
    with pytest.raises(FileNotFoundError, match='no config at'):
        run_tool('export_onnx.py', tmp_path / 'gone.py', weights, '--out', out)
    assert not out.exists()
