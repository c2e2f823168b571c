"""All configs: readable, uniquely named, and found where mim looks."""

from pathlib import Path

import modelindex
import pytest
from mmengine.config import Config

from semples_mmseg.datasets import COCO_CLASSES
from semples_mmseg.utils.classes import read_classes
from semples_mmseg.utils.linter import lint

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
WINDOWED = 'WindowedEncoderDecoder'
CROPS, STAGES = {'train_dataloader', 'match_pipeline'}, {'stages', 'prompt_pipeline'}
RUNNABLE = [path for path in CONFIGS if not {'_base_', 'runs'} & {*path.relative_to(ROOT).parts}]


@pytest.mark.parametrize('path', RUNNABLE, ids=lambda path: path.stem)
def test_a_config_is_whole_and_says_each_fact_once(path, monkeypatch, tmp_path):
    monkeypatch.setenv('DATA_ROOT', '/my data')
    monkeypatch.setenv('PSEUDO_MASKS', str(tmp_path))
    config = Config.fromfile(path)
    assert {'model', 'train_dataloader', 'optim_wrapper', 'train_cfg'} <= config.keys()
    assert config.default_scope == 'mmseg'
    assert config.test_pipeline  # which MMSeg's inference_model reads
    assert config.custom_imports['imports'][0] == 'semples_mmseg'
    lint(config)
    staged = any(hook['type'] == 'StageSwitchHook' for hook in config.get('custom_hooks') or [])
    assert staged == ('stages' in config)
    if staged:
        assert 'batch_size' not in config.train_dataloader and 'max_epochs' not in config.train_cfg

    model, data = config.model, config.train_dataloader.dataset
    assert model.class_names == data.get('class_names', data.type)
    for part in ('mask_generator', 'text_head', 'decode_head'):
        assert not {'num_classes', 'class_names'} & {*model.get(part, {})}
    scores = config.get('pseudo_mask_evaluator', {}), model
    if path.stem not in ('photos_refine', 'photos_refine_small'):  # VOC's and auto
        assert sum('background_score' in place for place in scores) == (model.type != WINDOWED)

    loaders = [config[key].dataset for key in config if key.endswith('_dataloader') and config[key]]
    assert {loader.data_root for loader in loaders} == {'/my data'}
    if data.type == 'CheckedSegDataset':
        assert data.data_prefix.seg_map_path == str(tmp_path)
    monkeypatch.undo()
    config.dump(tmp_path / 'config.py')
    assert Config.fromfile(tmp_path / 'config.py').to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ('published', 'ours', 'changes'),
    [
        *[
            (f'semples/{data}_published', f'semples/{data}_refine', {'model', *STAGES, *CROPS})
            for data in ('voc', 'coco')
        ],
        ('weaktr/weaktr_deit-s_voc12_published', 'weaktr/weaktr_deit-s_voc12', CROPS),
        ('segmenter/segmenter_deit-s_voc12_published', 'segmenter/segmenter_deit-s_voc12', set()),
    ],
)
def test_published_configs_differ_in_schedules_and_normalisation(published, ours, changes):
    a, b = (Config.fromfile(ROOT / f'configs/{name}.py') for name in (published, ours))
    assert {key for key in a if a[key] != b.get(key)} == changes | {'param_scheduler'}
    scheduler = a.param_scheduler
    assert scheduler.get('lag') is True or scheduler.get('reach_minimum') is False
    if 'stages' in a:
        assert {stage.epochs for stage in a.stages} == {scheduler.get('total', 60)}
        train = a.train_dataloader.dataset.pipeline
        others = [stage.train_pipeline for stage in a.stages if 'train_pipeline' in stage]
        for pipeline in (train, *others):
            assert pipeline[1] == b.pillow_crop != b.random_crop == b.stage_match_pipeline[1]
    if 'model' in changes:
        assert a.model.image_head.normalization == 'input'


def test_names_are_unique_across_the_tree():
    names = [path.name for path in CONFIGS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize('data', ['voc', 'coco', 'demo'])
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
    assert config.model.losses.match.background_weight == 2.4
    assert config.model.losses.prompt.text_weight == 0.02
    assert config.model.losses.refine.weight == 0.05
    assert config.model.prompt_learner.num_tokens == 30
    optimizer = config.optim_wrapper.optimizer
    assert optimizer.lr == pytest.approx(5.12e-4 * 64 / 512) and optimizer.weight_decay == 0.03
    assert [(s.epochs, s.batch_size) for s in config.stages] == [(60, 64), (60, 128), (60, 64)]
    assert config.stages[1].optim_wrapper.optimizer.lr == pytest.approx(0.1 * 128 / 512)
    assert config.stages[2].restore == dict(mask_generator='match')
    classes = read_classes(config.model.class_names)
    assert classes.names[14] == 'person' and classes.prompts[14] == 'player'
    two_words = [name for name in classes.prompts if ' ' in name]
    assert two_words == ['dining table', 'potted plant', 'tv monitor']


def test_coco_hyper_parameters_are_the_papers_and_the_published_ones():
    config = Config.fromfile(ROOT / 'configs/semples/coco_refine.py')
    model = config.model
    assert model.losses.match.background_weight == 0.75
    assert model.losses.prompt.text_weight == 0.01
    assert model.losses.refine.weight == 0.05
    fusion = dict(reduction=4, feature_reduction=8, pooling='mean')
    assert model.mask_generator.fusion == fusion
    assert read_classes(model.class_names).prompts == COCO_CLASSES
    rates = [stage.get('optim_wrapper', config.optim_wrapper) for stage in config.stages]
    expected = [5.12e-6 * 32 / 512, 0.01 * 128 / 512, 5.12e-6 * 24 / 512]
    assert [rate.optimizer.lr for rate in rates] == pytest.approx(expected)
    assert [(s.epochs, s.batch_size) for s in config.stages] == [(60, 32), (60, 128), (60, 24)]
    assert config.stages[2].restore == dict(mask_generator='match')
    for loader in (config.test_dataloader, config.pseudo_mask_dataloader):
        assert tuple(loader.dataset.pipeline[-1].scales) == (1.0, 0.8, 1.2)
    assert config.val_dataloader.dataset.indices == 1000
    assert 'indices' not in config.test_dataloader.dataset

    stage_0 = Config.fromfile(ROOT / 'configs/weaktr/weaktr_deit-s_coco14.py')
    assert stage_0.optim_wrapper.optimizer.lr == pytest.approx(2e-4 * 64 / 512)
    # One generator: what stage 0 trains is what SemPLeS loads.
    assert stage_0.model.mask_generator.fusion == model.mask_generator.fusion
    assert stage_0.model.class_names == model.class_names
    ours, its = (dict(c.model.mask_generator.backbone) for c in (config, stage_0))
    assert its.pop('init_cfg') and ours == its


def test_voc_and_coco_share_their_augmentation():
    voc, coco = (
        Config.fromfile(ROOT / f'configs/semples/{name}_refine.py') for name in ('voc', 'coco')
    )
    pipelines = [c.train_dataloader.dataset.pipeline for c in (voc, coco)]
    assert pipelines[0] == pipelines[1]
    assert voc.stages[1].train_pipeline == coco.stages[1].train_pipeline


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('text_term', {'model.losses.prompt.image_weight': 0.0}),
        ('image_term', {'model.losses.prompt.text_weight': 0.0}),
        ('lambda_0p01', {'model.losses.refine.weight': 0.01}),
        ('lambda_0p02', {'model.losses.refine.weight': 0.02}),
        ('lambda_0p1', {'model.losses.refine.weight': 0.1}),
    ],
)
def test_ablations_of_the_losses_change_that_alone(name, changes):
    expected = Config.fromfile(ROOT / 'configs/semples/voc_refine.py')
    expected.merge_from_dict(changes)
    ablation = Config.fromfile(ROOT / f'configs/semples/ablations/voc_{name}.py')
    assert ablation.to_dict() == expected.to_dict()


def test_ablations_of_the_scheme():
    folder = ROOT / 'configs/semples/ablations'
    two, three = (Config.fromfile(folder / f'voc_{n}_rounds.py') for n in ('two', 'three'))
    names = [[stage.name for stage in config.stages] for config in (two, three)]
    assert names[0] == ['match', 'prompt', 'refine', 'prompt', 'refine']
    assert names[1] == names[0] + ['prompt', 'refine']
    full = Config.fromfile(ROOT / 'configs/semples/voc_refine.py').stages
    assert three.stages == full + full[1:] + full[1:]
    two.merge_from_dict({'stages.4.epochs': 1})  # each round can be changed by itself
    assert [stage.epochs for stage in two.stages] == [60, 60, 60, 60, 1]
    joint = Config.fromfile(folder / 'voc_joint.py')
    assert [(s.name, s.epochs, s.batch_size) for s in joint.stages] == [('joint', 60, 64)]


def test_the_model_index_lists_every_config_of_the_paper():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    listed = {model.name: model.config for model in index.models}
    wanted = {
        path.stem: path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'configs').rglob('*.py')
        if not {'_base_', 'runs'} & {*path.relative_to(ROOT).parts}
        and not {'demo', 'photos'} & {*path.stem.split('_')}
    }
    assert listed == wanted
