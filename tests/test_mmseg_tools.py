"""A walk through MMSeg's own tools and Python interface, on SemPLeS and on a retrained Segmenter.

Both are the demo's, trained for an epoch on a few drawn scenes by MMSeg's ``tools/train.py``.
"""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model, show_result_pyplot
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

from semples_mmseg.environment import installed
from semples_mmseg.inference import SemPLeSInferencer

ROOT = Path(__file__).parents[1]
MMSEG_TOOLS = Path(mmseg.__file__).parent / '.mim' / 'tools'
KINDS = ('semples', 'segmenter')
CLASSES = ('background', 'boat', 'train', 'aeroplane', 'car', 'cow', 'bird')

SEMPLES = f"""
_base_ = '{ROOT}/configs/semples/demo_refine.py'
small = dict(data_root='data', num_train=12, num_val=5)
train_dataloader = dict(batch_size=4, dataset=small)
val_dataloader = dict(batch_size=4, dataset=small)
test_dataloader = dict(batch_size=4, dataset=small)
stages = [dict(name='classify', epochs=1, batch_size=4)]
default_hooks = dict(logger=dict(interval=1))
"""
NO_CLIP = "model = dict(clip=dict(pretrained='nowhere.pt'))\n"  # which only training needs
SEGMENTER = f"""
_base_ = '{ROOT}/configs/segmenter/segmenter_demo.py'
train_dataloader = dict(
    batch_size=4,
    dataset=dict(data_root='data', data_prefix=dict(seg_map_path='SegmentationClass')),
)
val_dataloader = dict(dataset=dict(data_root='data'))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1, val_interval=1)
param_scheduler = dict(end=1)
default_hooks = dict(logger=dict(interval=1))
"""


def official_fails(reason):
    """Skip what MMSegmentation 1.2.2 itself cannot do; OneDL's fork can."""
    return pytest.mark.skipif('mmsegmentation' in installed(), reason=reason)


def run(tool, *arguments):
    """Run one of MMSeg's tools as a script, in this process."""
    # A process keeps one visualizer; the tools expect one of their own.
    SegLocalVisualizer._instance_dict.clear()
    with mock.patch.object(sys, 'argv', [tool, *map(str, arguments)]):
        runpy.run_path(str(MMSEG_TOOLS / tool), run_name='__main__')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('walk')


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture(scope='module')
def trained(folder):
    """Names of config and checkpoint of both models, trained by MMSeg's tools/train.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, text in zip(KINDS, (SEMPLES, SEGMENTER), strict=True):
            Path(f'{name}.py').write_text(text)
            run('train.py', f'{name}.py', '--work-dir', f'runs/{name}')
        Path('semples.py').write_text(SEMPLES + NO_CLIP)
    return {
        name: (f'{name}.py', str(next((folder / 'runs' / name).glob('epoch_1.pth'))))
        for name in KINDS
    }


@pytest.fixture(params=KINDS)
def model(request, trained):
    return (request.param, *trained[request.param])


def test_test_and_confusion_matrix(model):
    name, config, checkpoint = model
    shown = f'shown/{name}'
    # The official MMSeg paints every 50th batch, OneDL's fork every one. The official one builds
    # the loop of training for it, which needs CLIP.
    parts = ('train_cfg', 'train_dataloader', 'optim_wrapper', 'param_scheduler')
    no_training = [f'{part}=None' for part in parts]
    often = ('--cfg-options', 'default_hooks.visualization.interval=1', *no_training)
    folders = ('--work-dir', f'tested/{name}', '--out', f'out/{name}', '--show-dir', shown)
    # A process of its own: what is painted depends on visualizers that were made before.
    command = [sys.executable, MMSEG_TOOLS / 'test.py', config, checkpoint, *folders, *often]
    subprocess.run([*map(str, command)], check=True)
    (metrics,) = Path(f'tested/{name}').glob('*/*.json')
    values = json.loads(metrics.read_text())
    assert 0 <= values[dict(semples='seed_mIoU', segmenter='mIoU')[name]] <= 100
    painted = list(Path(shown).rglob('*.png'))
    assert len(painted) == {'semples': 12, 'segmenter': 5}[name]
    assert Image.open(painted[0]).size[0] >= 64
    run('analysis_tools/confusion_matrix.py', config, f'out/{name}', f'matrix/{name}')
    assert Image.open(f'matrix/{name}/confusion_matrix.png').size[0] > 0


def test_python_interface(model):
    _, config, checkpoint = model
    built = init_model(config, checkpoint, device='cpu')
    assert tuple(built.dataset_meta['classes']) == CLASSES
    image = 'data/JPEGImages/' + Path('data/ImageSets/val.txt').read_text().split()[0] + '.png'
    result = inference_model(built, image)
    assert result.pred_sem_seg.data.shape == (1, 64, 64)
    assert show_result_pyplot(built, image, result, show=False, draw_gt=False).ndim == 3
    inferencer = MMSegInferencer(config, checkpoint, device='cpu')
    out = inferencer([image, image], out_dir='inferred', show=False)
    np.testing.assert_array_equal(out['predictions'][0], result.pred_sem_seg.data[0])
    assert len(list(Path('inferred/vis').iterdir())) == 1


@official_fails('the channels it swaps are not contiguous, which OpenCV refuses')
def test_browse_dataset(model):
    name, config, _ = model
    run('misc/browse_dataset.py', config, '--output-dir', f'browsed/{name}', '--not-show')
    assert len(list(Path(f'browsed/{name}').rglob('*.png'))) == 12


def test_print_config(model, capsys):
    _, config, _ = model
    run('misc/print_config.py', config, '--graph')
    assert 'train_dataloader' in capsys.readouterr().out
    assert Config.fromfile('example.py').model.type == Config.fromfile(config).model.type


@official_fails('it gives MMEngine both a shape and inputs')
def test_get_flops(model, capsys):
    run('analysis_tools/get_flops.py', model[1], '--shape', '64')
    (flops,) = re.findall(r'Flops: ([\d.]+)', capsys.readouterr().out)
    assert float(flops) > 0


def test_benchmark(model, capsys):
    """It takes 200 images; the few of the test set are read to their end."""
    name, config, checkpoint = model
    run('analysis_tools/benchmark.py', config, checkpoint, '--work-dir', f'speed/{name}')
    assert len(list(Path(f'speed/{name}').glob('fps_*.json'))) == 1


def test_publish_model(model):
    """It moves its file in a process that it does not wait for, so here it is moved at once."""
    name, _, checkpoint = model
    move = mock.patch('subprocess.Popen', lambda words: shutil.move(*words[1:]))
    with move:
        run('misc/publish_model.py', checkpoint, f'published_{name}.pth')
    (file,) = Path().glob(f'published_{name}-*.pth')
    published = torch.load(file, weights_only=True)
    trained = torch.load(checkpoint, weights_only=True)
    assert 'optimizer' in trained and 'optimizer' not in published
    assert tuple(published['meta']['dataset_meta']['classes']) == CLASSES
    for key, value in trained['state_dict'].items():
        torch.testing.assert_close(published['state_dict'][key], value, rtol=0, atol=0)


def test_analyze_logs(model):
    name, _, _ = model
    pytest.importorskip('seaborn')
    (log,) = Path(f'runs/{name}').glob('*/vis_data/scalars.json')
    run('analysis_tools/analyze_logs.py', log, '--keys', 'loss', '--out', f'{name}.png')
    assert Image.open(f'{name}.png').size[0] > 0


def test_tensorboard(model):
    pytest.importorskip('tensorboard')
    name, _, _ = model
    Path('board.py').write_text(dict(semples=SEMPLES, segmenter=SEGMENTER)[name])
    option = 'visualizer.vis_backends.0.type=TensorboardVisBackend'
    run('train.py', 'board.py', '--work-dir', f'board/{name}', '--cfg-options', option)
    (events,) = Path(f'board/{name}').rglob('events.out.tfevents.*')
    assert b'loss' in events.read_bytes()


def test_classes_in_another_order_are_refused(model):
    """By those in the checkpoint; other CLIP features of their names are not needed to see it."""
    _, config, checkpoint = model
    names = [CLASSES[at] for at in (2, 1, 3, 4, 5, 6)]
    changed = Config.fromfile(config)
    changed.model.class_names = changed.test_dataloader.dataset.class_names = names
    changed.test_dataloader.dataset.metainfo = None
    changed.dump('changed.py')
    for file in (checkpoint, f'weights:{checkpoint}'):
        with pytest.raises(ValueError, match=f'order.*\n.*{", ".join(CLASSES)}\n'):
            run('test.py', 'changed.py', file, '--work-dir', 'changed')
    if 'clip' in changed.model:
        with pytest.raises(ValueError, match='checkpoint and of the model differ in their order'):
            init_model('changed.py', checkpoint, device='cpu')


def test_tags_are_taken_and_guesses_are_named(trained, recwarn):
    config, checkpoint = trained['semples']
    inferencer = SemPLeSInferencer(config, checkpoint, device='cpu')
    images = [f'data/JPEGImages/train_0000{index}.png' for index in range(3)]
    inferencer.model.background_score = 0.1
    out = inferencer(images, tags=[['cow', 'boat'], [], None], batch_size=2)
    assert set(np.unique(out['predictions'][0])) <= {0, 1, 5}
    assert out['predictions'][0].any() and not out['predictions'][1].any()
    assert out['tags'][:2] == [['boat', 'cow'], []]
    assert out['tags_guessed'] == [False, False, True]
    inferencer(images)
    assert len([w for w in recwarn if 'without tags' in str(w.message)]) == 1
    array = np.array(Image.open(images[0]))[..., ::-1]  # BGR, as OpenCV reads it
    one = inferencer(array, tags=['cow', 'boat'])
    np.testing.assert_array_equal(one['predictions'], out['predictions'][0])
    assert one['tags'] == ['boat', 'cow'] and one['tags_guessed'] is False
    assert inferencer([Path(images[0])], tags=(tag for tag in ['cow']))['tags'] == ['cow']
    assert inferencer(Path(images[0]), tags={'cow'})['tags'] == ['cow']
    sample = inferencer(images[0], tags=['cow'], return_datasamples=True)
    assert sample.cam_classes.tolist() == [4]


@pytest.mark.parametrize(
    ('tags', 'named'),
    [
        (['cwo'], "'cow'"),
        ('cow', "'cow'"),
        ([['cow'], ['boat']], 'for 1 images'),
        ([5], r'\[5\] for 1'),
    ],
)
def test_tags_that_do_not_fit_are_refused(trained, tags, named):
    inferencer = SemPLeSInferencer(*trained['semples'], device='cpu')
    with pytest.raises(ValueError, match=named):
        inferencer('data/JPEGImages/train_00000.png', tags=tags)


def test_a_segmenter_takes_no_tags(trained):
    inferencer = SemPLeSInferencer(*trained['segmenter'], device='cpu')
    with pytest.raises(ValueError, match='MMSegInferencer'):
        inferencer('data/JPEGImages/train_00000.png', tags=['cow'])
