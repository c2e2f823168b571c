"""The demo: all of SemPLeS on the small drawn world, with the tools and configs of a real run."""

from collections.abc import Sequence
from pathlib import Path

from ..engine.atomic_checkpoint_hook import METRICS, WEIGHTS
from ..runs.steps import Step
from ..runs.tools import Tools, dataset_options

STAGES = ('classify', 'match', 'prompt', 'refine')
TITLES = dict(classify='after stage 0', match='after (a)', refine='after (c)')
SEMPLES = 'configs/semples/demo_refine.py'
SEGMENTER = 'configs/segmenter/segmenter_demo.py'


def stage_file(folder: Path, stage: str) -> Path:
    """Weights at the end of a stage."""
    return folder / 'semples' / f'{stage}.pth'


def segmenter_file(folder: Path) -> Path:
    """Weights of the retrained Segmenter; their metrics are beside them."""
    return folder / 'segmenter' / WEIGHTS


def segmenter_options(data_root: Path, masks: Path) -> list[str]:
    """Settings of the Segmenter's config that name its files."""
    return [
        *dataset_options(('train', 'val', 'test'), data_root=data_root),
        *dataset_options(['train'], data_prefix__seg_map_path=masks.absolute()),
    ]


def demo_steps(
    root: Path,
    folder: Path,
    data_root: Path,
    seed: int,
    semples: Sequence[str] = (),
    segmenter: Sequence[str] = (),
) -> list[Step]:
    """The steps of the demo.

    Args:
        root: Folder of ``configs`` and ``tools``.
        folder: Folder of the results.
        data_root: Folder that the demo world is drawn into.
        seed: Seed of training.
        semples, segmenter: More ``key=value`` settings of the two configs.
    """
    tools, randomness = Tools(root, folder), f'randomness.seed={seed}'
    data = dataset_options(('train', 'val', 'test', 'pseudo_mask'), data_root=data_root)
    data += semples
    final, masks = stage_file(folder, 'refine'), folder / 'pseudo_masks'
    files = [f'{stage}.pth' for stage in STAGES]
    steps = [
        tools.train(
            'SemPLeS training',
            SEMPLES,
            final.parent,
            [*data, randomness],
            [],
            [*files, 'stages.json'],
        )
    ]
    weights = [stage_file(folder, stage) for stage in TITLES]
    steps.append(tools.test('seeds', SEMPLES, weights, 'seeds.json', data))
    steps.append(tools.pseudo_masks(SEMPLES, final, masks, data))
    data = [*segmenter_options(data_root, masks), *segmenter]
    retrained = segmenter_file(folder)
    steps.append(
        tools.train(
            'Segmenter training',
            SEGMENTER,
            retrained.parent,
            [*data, randomness],
            [masks],
            [WEIGHTS, METRICS],
        )
    )
    return steps
