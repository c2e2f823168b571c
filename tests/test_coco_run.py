"""The COCO configs on a generated COCO: prepared, stage 0, all stages of SemPLeS, seeds."""

import copy
import json
from pathlib import Path

import pytest
from coco_tree import make_coco_tree
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS
from rich.console import Console
from tiny import TINY_CLIP

from semples_mmseg.engine import StagePlan, TrainableOptimWrapperConstructor
from semples_mmseg.prepare.coco import prepare_coco14

ROOT = Path(__file__).parents[1]
TINY = {
    'model.mask_generator.backbone.arch': dict(
        _delete_=True, embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48
    )
}
TINY_SEMPLES = {
    **TINY,
    'model.clip': dict(_delete_=True, model=TINY_CLIP, pretrained=None),
    'model.prompt_learner.num_tokens': 4,
}


@pytest.fixture
def load(tmp_path):
    """Return a function that reads a config, shrinks it and points it to a generated COCO."""
    root = make_coco_tree(tmp_path / 'coco')
    prepare_coco14(root, subset=True, workers=1, console=Console(quiet=True))

    def read(name, changes):
        config = Config.fromfile(ROOT / 'configs' / name)
        for loader in ('train', 'val', 'test', 'pseudo_mask'):
            config[f'{loader}_dataloader'].num_workers = 0
            config[f'{loader}_dataloader'].dataset.data_root = str(root)
        for stage in config.stages:
            stage.update(epochs=1, batch_size=3)
        config.merge_from_dict(copy.deepcopy(changes))
        config.work_dir = str(tmp_path / config.stages[-1].name)
        config.log_level = 'WARNING'
        return config

    return read


def records(config):
    with open(f'{config.work_dir}/stages.json', encoding='utf-8') as file:
        return json.load(file)


def test_stage_0_then_semples(load):
    stage_0 = load(
        'weaktr/weaktr_deit-s_coco14.py', {**TINY, 'model.mask_generator.backbone.init_cfg': None}
    )
    Runner.from_cfg(stage_0).train()
    (record,) = records(stage_0)
    for name in ('token', 'coarse', 'fine'):
        assert 0 < record['metrics'][f'mAP_{name}'] <= 100
    assert 0 <= record['metrics']['seed_mIoU'] <= 100

    weights = f'weights:{stage_0.work_dir}/{record["checkpoint"]}'
    semples = load(
        'semples/coco_refine.py',
        {**TINY_SEMPLES, 'model.mask_generator.init_cfg.checkpoint': weights},
    )
    runner = Runner.from_cfg(semples)
    runner.train()
    assert [record['stage'] for record in records(semples)] == ['match', 'prompt', 'refine']
    assert runner.model.prompt_learner.prompts.shape == (80, 4, 24)


def test_joint_training_gives_prompts_their_own_rate():
    config = Config.fromfile(ROOT / 'configs/semples/ablations/voc_joint.py')
    config.merge_from_dict(copy.deepcopy({**TINY_SEMPLES, 'model.mask_generator.init_cfg': None}))
    (spec,) = StagePlan(config.stages).specs
    model = MODELS.build(config.model)
    model.set_stage(spec.stage)
    config.merge_from_dict(dict(optim_wrapper=spec.optim_wrapper))
    rules = config.optim_wrapper.pop('paramwise_cfg')
    wrapper = TrainableOptimWrapperConstructor(config.optim_wrapper, rules)(model)
    groups = wrapper.optimizer.param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    assert rates.pop(id(model.prompt_learner.prompts)) == pytest.approx(0.1 * 64 / 512)
    generator = [*model.mask_generator.head.parameters(), *model.mask_generator.fusion.parameters()]
    assert rates == {id(p): pytest.approx(5.12e-4 * 64 / 512) for p in generator}
