"""All configs: readable, uniquely named, and found where mim looks."""

from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
RUNNABLE = [path for path in CONFIGS if '_base_' not in path.parts]


@pytest.mark.parametrize('path', RUNNABLE, ids=lambda path: path.stem)
def test_a_config_is_whole(path):
    config = Config.fromfile(path)
    assert {'model', 'train_dataloader', 'optim_wrapper', 'train_cfg'} <= config.keys()
    assert config.default_scope == 'mmseg'
    assert config.custom_imports['imports'] == ['semples_mmseg']
    staged = any(hook['type'] == 'StageSwitchHook' for hook in config.get('custom_hooks') or [])
    assert staged == ('stages' in config)


def test_names_are_unique_across_the_tree():
    names = [path.name for path in CONFIGS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize('data', ['voc', 'demo'])
def test_each_stage_config_inherits_the_one_before(data):
    stages = [
        [
            stage['name']
            for stage in Config.fromfile(ROOT / f'configs/semples/{data}_{name}.py').stages
        ]
        for name in ('match', 'prompt', 'refine')
    ]
    assert stages[2][-3:] == ['match', 'prompt', 'refine']
    assert stages[1] == stages[2][:-1] and stages[0] == stages[2][:-2]


def test_voc_hyper_parameters_are_the_papers():
    config = Config.fromfile(ROOT / 'configs/semples/voc_refine.py')
    assert config.model.match_loss.background_weight == 2.4
    assert config.model.prompt_loss.text_weight == 0.02
    assert config.model.refine_loss.weight == 0.05
    assert config.model.prompt_learner.num_tokens == 30
    optimizer = config.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(5.12e-4 * 64 / 512) and optimizer.weight_decay == 0.03
    assert [(s.epochs, s.batch_size) for s in config.stages] == [(60, 64), (60, 128), (60, 64)]
    assert config.stages[1].optim_wrapper.optimizer.lr == pytest.approx(0.1 * 128 / 512)
    assert config.stages[2].restore == dict(mask_generator='match')
    assert config.model.text_head.class_names[14] == 'player'
