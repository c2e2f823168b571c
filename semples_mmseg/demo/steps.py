"""The demo: all of SemPLeS on the small drawn world, with the tools and configs of a real run."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..pipeline.steps import Step
from ..pseudo_masks.manifest import MANIFEST
from ..weights.latest_checkpoint import POINTER

STAGES = ('classify', 'match', 'prompt', 'refine')
TITLES = dict(classify='after stage 0', match='after (a)', refine='after (c)')
SEMPLES = 'configs/semples/demo_refine.py'
SEGMENTER = 'configs/segmenter/segmenter_demo.py'


def stage_file(folder: Path, stage: str) -> Path:
    """Weights at the end of a stage of the demo's staged run."""
    return folder / 'semples' / f'{stage}.pth'


def segmenter_file(root: Path, folder: Path) -> Path:
    """Weights of the retrained Segmenter."""
    epochs = Config.fromfile(root / SEGMENTER).train_cfg.max_epochs
    return folder / 'segmenter' / f'epoch_{epochs}.pth'


def segmenter_data(data_root: Path, masks: Path) -> dict[str, str]:
    """Settings of the Segmenter's config that name its files."""
    options = {'train_dataloader.dataset.data_prefix.seg_map_path': str(masks)}
    for loader, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = f'{loader}_dataloader.dataset'
        options[f'{dataset}.ann_file'] = str(data_root / f'ImageSets/{split}.txt')
        options[f'{dataset}.data_prefix.img_path'] = str(data_root / 'JPEGImages')
        if loader != 'train':
            truth = str(data_root / 'SegmentationClass')
            options[f'{dataset}.data_prefix.seg_map_path'] = truth
    return options


def demo_steps(
    root: Path,
    folder: Path,
    data_root: Path,
    seed: int,
    semples_options: Sequence[str] = (),
    segmenter_options: Sequence[str] = (),
) -> list[Step]:
    """The steps of the demo.

    Args:
        root: Folder of ``configs`` and ``tools``.
        folder: Where results go.
        data_root: Where the demo world is drawn.
        seed: Of training.
        semples_options: More ``key=value`` settings of the SemPLeS config.
        segmenter_options: More ``key=value`` settings of the Segmenter's config.
    """
    data = [f'{name}_dataloader.dataset.data_root={data_root}' for name in ('train', 'val')]
    data += [f'{name}_dataloader.dataset.data_root={data_root}' for name in ('test', 'pseudo_mask')]
    data += semples_options
    randomness = f'randomness.seed={seed}'
    semples, segmenter = root / SEMPLES, root / SEGMENTER
    final = stage_file(folder, 'refine')
    tool = root / 'tools'
    steps = [
        Step(
            'stage 0 and the three stages of SemPLeS',
            _command(tool / 'train.py', semples, folder / 'semples', *data, randomness),
            inputs=(),
            config=semples,
            outputs=(*(stage_file(folder, s) for s in STAGES), folder / 'semples/stages.json'),
            seconds=80,
            resume=('--resume',),
            goes_on_from=folder / 'semples' / POINTER,
        )
    ]
    for stage, title in TITLES.items():
        weights, out = stage_file(folder, stage), folder / f'seeds_{stage}.json'
        command = _command(tool / 'test.py', semples, folder / 'test', *data, checkpoint=weights)
        steps.append(
            Step(
                f'CAMs of the training scenes {title}, evaluated',
                (*command, '--metrics', str(out)),
                inputs=(weights,),
                config=semples,
                outputs=(out,),
                seconds=15,
            )
        )
    final, masks = stage_file(folder, 'refine'), folder / 'pseudo_masks'
    command = _command(
        tool / 'make_pseudo_masks.py', semples, folder / 'test', *data, checkpoint=final
    )
    steps.append(
        Step(
            'pseudo masks',
            (*command, '--out', str(masks)),
            inputs=(final,),
            config=semples,
            outputs=(masks,),
            seconds=35,
            fresh=('--overwrite',),
            goes_on_from=masks / MANIFEST,
        )
    )
    data = [f'{key}={value}' for key, value in segmenter_data(data_root, masks).items()]
    data += segmenter_options
    work_dir, weights = folder / 'segmenter', segmenter_file(root, folder)
    steps.append(
        Step(
            'Segmenter, retrained on the pseudo masks',
            _command(tool / 'train.py', segmenter, work_dir, *data, randomness),
            inputs=(masks,),
            config=segmenter,
            outputs=(weights,),
            seconds=80,
            resume=('--resume',),
            goes_on_from=work_dir / POINTER,
        )
    )
    out = folder / 'segmenter.json'
    command = _command(tool / 'test.py', segmenter, folder / 'test', *data, checkpoint=weights)
    steps.append(
        Step(
            'Segmenter on the held-out scenes',
            (*command, '--metrics', str(out)),
            inputs=(weights,),
            config=segmenter,
            outputs=(out,),
            seconds=15,
        )
    )
    return steps


def _command(
    script: Path, config: Path, work_dir: Path, *options: str, checkpoint: Path | None = None
) -> tuple[str, ...]:
    """Arguments of one of the tools."""
    start = (str(script), str(config), *((str(checkpoint),) if checkpoint else ()))
    return (*start, '--work-dir', str(work_dir), '--cfg-options', *options)
