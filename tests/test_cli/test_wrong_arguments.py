"""Mistyped arguments and types of a config are one line with the place and the right word."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import build_from_cfg
from mmengine.runner import Runner
from mmseg.registry import DATASETS, HOOKS, MODELS, PARAM_SCHEDULERS, TRANSFORMS
from run_tool import run_tool

from semples_mmseg.cli.errors import explained

CONFIG = dict(
    model=dict(type='CAMGenerator', num_classes=2, backbone=dict(type='MultiTokenViT', img_sice=3)),
    custom_hooks=[dict(type='EMAHook'), dict(type='FiniteStepHook', pacience=3)],
    data=dict(type='WeakLabelDataset', clas_names=['cat']),
    loader=dict(dataset=[1, 2], sampler=None, num_worker=1),
    pipeline=[dict(type='Resize', scale=(2, 2)), dict(type='RandomFlip', prob=0.5, directon='v')],
    crop=dict(type='RandomCrop'),
    schedule=dict(type='CosineAnnealingLR', T_max=2, eta_mim=0, convert_to_iter_based=True),
    unknown=dict(type='Rezise', scale=(2, 2)),
)


def schedule(config):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1)
    return PARAM_SCHEDULERS.build(config, default_args=dict(optimizer=optimizer, epoch_length=2))


def hooks(configs):
    return [HOOKS.build(config) for config in configs]


def steps(configs):
    return [TRANSFORMS.build(config) for config in configs]


@pytest.mark.parametrize(
    ('key', 'build', 'place', 'words'),
    [
        (
            'model',
            MODELS.build,
            'model.backbone',
            "has no argument 'img_sice'; did you mean 'img_size'?",
        ),
        ('custom_hooks', hooks, 'custom_hooks.1', "'pacience'; did you mean 'patience'?"),
        ('data', DATASETS.build, 'data', "'clas_names'; did you mean 'class_names'?"),
        ('loader', Runner.build_dataloader, 'loader', "'num_worker'; did you mean 'num_workers'?"),
        ('pipeline', steps, 'pipeline.1', "'directon'; did you mean 'direction'?"),
        ('crop', TRANSFORMS.build, 'crop', "RandomCrop needs 'crop_size'"),
        ('schedule', schedule, 'schedule', "'eta_mim'; did you mean 'eta_min'?"),
        ('unknown', TRANSFORMS.build, 'unknown', "there is no 'Rezise'; did you mean 'Resize'?"),
    ],
)
def test_the_place_and_the_nearest_name_are_said(key, build, place, words, capsys):
    config = Config(CONFIG)
    with pytest.raises(SystemExit) as end, explained():
        build(config[key])
    text = capsys.readouterr().err
    assert end.value.code == 2 and text.count('\n') == 1
    assert text.startswith(f'error: {place}: ') and text.endswith(words + '\n'), text


def test_the_tools_name_the_config(tmp_path, request, capsys):
    path = tmp_path / 'own.py'
    base = request.config.rootpath / 'configs/semples/demo_refine.py'
    path.write_text(f"_base_ = {str(base)!r}\nmodel = dict(imagehd=dict(dtype='float16'))\n")
    with pytest.raises(TypeError):
        run_tool('train.py', path, '--work-dir', tmp_path / 'run')
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {path}: model: SemPLeS has no argument 'imagehd'; did you mean 'image_head'?"
    )


def test_an_optimizer_that_cannot_be_is_one_line(tmp_path, request, capsys):
    path = tmp_path / 'own.py'
    base = request.config.rootpath / 'configs/segmenter/segmenter_demo.py'
    path.write_text(f"_base_ = {str(base)!r}\noptim_wrapper = dict(optimizer=dict(lr='1e-3x'))\n")
    with pytest.raises(ValueError):
        run_tool('train.py', path, '--work-dir', tmp_path / 'run')
    text = capsys.readouterr().err.splitlines()[-1]
    assert text.startswith(f"error: {path}: optim_wrapper.optimizer={{'lr': '1e-3x', ")


def test_errors_inside_a_class_are_bugs_and_keep_their_traceback():
    class Inner:
        def __init__(self, width):
            pass

    class Outer:
        def __init__(self, depth=1):
            Inner(with_=2)

    class Lacking:
        def __init__(self, depth=1):
            Inner()

    for kind in (Outer, Lacking):
        with pytest.raises(TypeError), explained():
            build_from_cfg(dict(type=kind, depth=2), HOOKS)
    with pytest.raises(KeyError), explained():
        build_from_cfg(dict(type=lambda key: {}[key], key=1), HOOKS)
