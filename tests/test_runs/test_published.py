"""The published pipeline on a handful of images: every step through its real tool."""

import json

import pytest
from mmseg.datasets import PascalVOCDataset
from rich.console import Console
from tiny import TINY_CLIP

from semples_mmseg.runs.recipe import read_recipe
from semples_mmseg.runs.results import report_results
from semples_mmseg.runs.steps import run_steps, show_plan

IDS = ('2011_000003', '2011_000006', '2011_000025')


@pytest.fixture
def devkit(make_voc_tree):
    """Three drawn images as VOC2012."""
    names = PascalVOCDataset.METAINFO['classes'][1:]
    root = make_voc_tree({name: names[index : index + 2] for index, name in enumerate(IDS)})
    lists = root / 'ImageSets/Segmentation'
    for split, ids in dict(train=IDS[:2], val=IDS[2:], test=IDS[2:]).items():
        (lists / f'{split}.txt').write_text('\n'.join(ids) + '\n')
    return root


@pytest.fixture
def settings(tmp_path):
    """Small models with random weights, an epoch each, without validation in between."""
    clip = tmp_path / 'clip.json'
    clip.write_text(json.dumps(TINY_CLIP))
    common = [f'{loader}_dataloader.num_workers=0' for loader in ('train', 'val', 'test')]
    unvalidated = ['val_dataloader=None', 'val_cfg=None', 'val_evaluator=None']
    generator = ['model.mask_generator.backbone.arch=deit-tiny', *common, *unvalidated]
    stages = [f'stages.{n}.{key}' for n in range(3) for key in ('epochs=1', 'batch_size=2')]
    sides = [
        f'tta_pipeline.2.transforms.0.{n}.scale=({80 * (n + 4)},{10 * (n + 4)})' for n in range(6)
    ]
    return dict(
        convert=['--subset', '--workers', '1'],
        weaktr_options=[*generator, *stages[:2], 'model.mask_generator.backbone.init_cfg=None'],
        semples_options=[
            *(*generator, *stages, 'pseudo_mask_dataloader.num_workers=0'),
            *(f'model.clip.model={clip}', 'model.clip.pretrained=None'),
            'model.prompt_learner.num_tokens=4',
        ],
        segmenter_options=[
            *(*common, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=2'),
            *(f'{name}_dataloader.persistent_workers=False' for name in ('train', 'test')),
            *unvalidated,
            *('model.backbone.arch=deit-tiny', 'model.backbone.init_cfg=None'),
            *(f'model.decode_head.{key}=192' for key in ('in_channels', 'embed_dims', 'channels')),
            *('model.decode_head.num_heads=3', 'model.backbone.img_size=64'),
            *('model.data_preprocessor.size=(64,64)', 'model.test_cfg.crop_size=(64,64)'),
            *('model.test_cfg.stride=(43,43)', 'test_dataloader.dataset.pipeline.2.scale=(560,70)'),
            'train_dataloader.dataset.pipeline.2.scale=(640,80)',
            *('train_dataloader.dataset.pipeline.3.crop_size=(64,64)', *sides),
        ],
    )


def test_every_step_from_the_download_to_the_table(devkit, settings, tmp_path, steps_in_process):
    pytest.importorskip('pydensecrf.densecrf')
    console = Console(record=True, width=150)
    recipe = read_recipe('voc12', tmp_path / 'voc12', dict(data=devkit), settings)
    folder = recipe.folder
    show_plan(recipe, console)
    assert 'match 1, prompt 1, refine 1' in console.export_text(clear=False)
    assert not folder.exists()  # a plan is only a plan

    run_steps(recipe, console)
    results = report_results(recipe, console)
    labels = json.loads((devkit / 'image_labels.json').read_text())
    assert sorted(labels) == sorted(IDS)
    train_aug = (devkit / 'ImageSets/Segmentation/train_aug.txt').read_text().split()
    made = {path.stem for path in (folder / 'pseudo_masks').glob('*.png')}
    assert made == set(train_aug) == set(IDS[:2])
    sent = folder / 'test/results/VOC2012/Segmentation/comp6_test_cls'
    assert [path.name for path in sent.iterdir()] == [f'{IDS[2]}.png']
    ours = [cells[0] for cells in results['rows'].values()]
    assert len(ours) == 4 and all(0 <= value <= 100 for value in ours)
    text = console.export_text()
    assert '74.2' in text and 'the paper' in text

    run_steps(recipe, console)
    assert console.export_text().count('complete, skipped') == len(recipe.steps) == 10
    show_plan(recipe, console)
    rows = [line.split('\u2502') for line in console.export_text().splitlines()]
    images = {row[2].strip(): row[3].strip() for row in rows if len(row) > 5}
    assert images['WeakTr training (stage 0)'] == images['pseudo masks'] == '2'
    assert images['Segmenter on val'] == '1'


def test_several_gpus_share_the_work_of_the_model_and_of_it_alone(devkit, tmp_path):
    recipe = read_recipe('voc12', tmp_path / 'run', dict(data=devkit), dict(seed=3), gpus=4)
    for step in recipe.steps:
        command = step.command()
        spread = 'torch.distributed.run' in command
        assert spread == (step.name not in ('data', 'pseudo masks, measured (a diagnostic)'))
        if spread:
            assert command[command.index('--nproc_per_node') + 1] == '4'
            assert command[command.index('--launcher') + 1] == 'pytorch'
            assert 'randomness.seed=3' in command
        assert ('--resume' in step.command(resume=True)) == (step.tool == 'train.py')


def test_coco_measures_masks_where_there_are_any_and_has_no_test_server(tmp_path):
    (tmp_path / 'annotations').mkdir()
    for split in ('train', 'val'):
        (tmp_path / f'annotations/instances_{split}2014.json').touch()

    def names():
        steps = read_recipe('coco14', tmp_path / 'run', dict(data=tmp_path)).steps
        return [step.name for step in steps]

    assert names()[0] == 'data' and names()[-1] == 'Segmenter on val' and len(names()) == 7
    (tmp_path / 'masks/train2014').mkdir(parents=True)
    assert len(names()) == 8


def test_a_missing_download_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'train\.txt.*--data-root'):
        read_recipe('voc12', tmp_path / 'run', dict(data=tmp_path))
