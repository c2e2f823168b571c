"""The VOC configs and tools, as a user runs them, on three real images where they are at hand."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import TINY_CLIP

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT.parent / 'shared' / 'voc_sample'
IDS = ('2011_000003', '2011_000006', '2011_000025')


@pytest.fixture
def devkit(tmp_path):
    """The sample laid out as VOCdevkit/VOC2012."""
    if not SAMPLE.is_dir():
        pytest.skip('the sample of VOC is not at hand')
    root = tmp_path / 'VOCdevkit' / 'VOC2012'
    for folder in ('JPEGImages', 'SegmentationClassAug'):
        shutil.copytree(SAMPLE / folder, root / folder)
    (root / 'ImageSets/Segmentation').mkdir(parents=True)
    for split in ('train', 'train_aug'):
        (root / f'ImageSets/Segmentation/{split}.txt').write_text('\n'.join(IDS) + '\n')
    labels = json.loads((SAMPLE / 'labels_trainval.json').read_text())
    (root / 'labels.json').write_text(json.dumps({name: labels[name] for name in IDS}))
    (tmp_path / 'clip.json').write_text(json.dumps(TINY_CLIP))
    return root


def run(*arguments):
    result = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_all_stages_then_evaluation_on_real_files(devkit, tmp_path):
    config, work_dir = ROOT / 'configs/semples/voc_refine.py', tmp_path / 'run'
    options = [
        f'model.clip.model={tmp_path / "clip.json"}',
        'model.clip.pretrained=None',
        'model.mask_generator.init_cfg=None',
        'model.mask_generator.backbone.arch=deit-tiny',
        'model.prompt_learner.num_tokens=4',
    ]
    for loader in ('train', 'val', 'test', 'pseudo_mask'):
        dataset = f'{loader}_dataloader.dataset'
        options += [f'{dataset}.data_root={devkit}', f'{dataset}.label_file=labels.json']
        options += [f'{loader}_dataloader.num_workers=0']
    stages = [f'stages.{n}.{key}' for n in range(3) for key in ('epochs=1', 'batch_size=3')]
    masks_at = devkit / 'SegmentationClassAug'
    hidden = devkit / 'hidden'
    masks_at.rename(hidden)  # training must not want them
    no_validation = ['val_dataloader=None', 'val_cfg=None', 'val_evaluator=None']
    run(
        'tools/train.py',
        config,
        '--work-dir',
        work_dir,
        '--cfg-options',
        *options,
        *stages,
        *no_validation,
    )
    names = [record['stage'] for record in json.loads((work_dir / 'stages.json').read_text())]
    assert names == ['match', 'prompt', 'refine']

    hidden.rename(masks_at)
    checkpoint = work_dir / 'refine.pth'
    run(
        'tools/test.py',
        config,
        checkpoint,
        '--work-dir',
        work_dir,
        '--metrics',
        tmp_path / 'metrics.json',
        '--cfg-options',
        *options,
    )
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 0 <= metrics['seed_mIoU'] <= 100 and 0.4 <= metrics['threshold'] <= 0.59
    run(
        'tools/make_pseudo_masks.py',
        config,
        checkpoint,
        '--out',
        tmp_path / 'masks',
        '--background-score',
        '0.43',
        '--refine',
        'crf-voc' if importlib.util.find_spec('pydensecrf') else 'pamr',
        '--work-dir',
        work_dir,
        '--cfg-options',
        *options,
    )
    assert sorted(path.stem for path in (tmp_path / 'masks').glob('*.png')) == sorted(IDS)
    scores = tmp_path / 'masks.json'
    folders = (tmp_path / 'masks', masks_at)
    run('tools/eval_pseudo_masks.py', *folders, '--classes', 'voc', '--json', scores)
    assert json.loads(scores.read_text())['images'] == 3
