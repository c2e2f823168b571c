"""The published pipeline as steps: from a downloaded data set to the figures of the table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.config_options import read_config
from ..utils.errors import Missing
from .benchmarks import Benchmark
from .steps import Step
from .tools import Tools, dataset_options

WEAK_LOADERS = ('train', 'val', 'test', 'pseudo_mask')
GENERATOR_MB, SEGMENTER_MB = 87, 104
"""Weights in fp32: 21.8 M and 25.9 M parameters."""
MASK_MB = 0.0032
"""Mean size of the 2913 masks of VOC's train and val."""


@dataclass(frozen=True)
class Settings:
    """Changes of a run to the published settings.

    Attributes:
        gpus: Processes of every step that uses the model, one per GPU.
        seed: Seed of all trainings.
        convert: More arguments of the converter, e.g. ``('--sbd', 'benchmark_RELEASE')``.
        weaktr, semples, segmenter: More ``key=value`` settings of the configs.
        test: More arguments of the Segmenter's tests.
    """

    gpus: int = 1
    seed: int = 0
    convert: tuple[str, ...] = ()
    weaktr: tuple[str, ...] = ()
    semples: tuple[str, ...] = ()
    segmenter: tuple[str, ...] = ()
    test: tuple[str, ...] = ('--tta', '--crf')


def published_steps(
    benchmark: Benchmark, root: Path, folder: Path, data_root: Path, settings: Settings
) -> list[Step]:
    """The steps from the download to the figures of the table.

    Args:
        benchmark: The data set.
        root: Folder of ``configs`` and ``tools``.
        folder: Folder of the results.
        data_root: Folder of the data set.
        settings: What differs from the configs.

    Raises:
        FileNotFoundError: If a file of the download is missing.
    """
    missing = [
        str(data_root / name) for name in benchmark.sources if not (data_root / name).exists()
    ]
    if missing:
        raise Missing(
            f'{benchmark.title} is not complete in {data_root}: {", ".join(missing)} missing. Give '
            'its folder with --data-root; docs/data.md shows its layout'
        )
    data, tools = data_root.resolve(), Tools(root, folder, settings.gpus)
    labels = [data / name for name in benchmark.prepared if name.endswith(('.txt', '.json'))]
    seed = f'randomness.seed={settings.seed}'
    weak = [seed, *dataset_options(WEAK_LOADERS, data_root=data)]
    if benchmark.label_file:
        weak += dataset_options(WEAK_LOADERS, label_file=benchmark.label_file)
    images = benchmark.train[2]
    steps = [
        Step(
            'data',
            (str(root / benchmark.converter), str(data), *settings.convert),
            inputs=tuple(data / name for name in benchmark.sources),
            outputs=tuple(data / name for name in benchmark.prepared),
            work='lists, image-level labels, masks for evaluation',
        )
    ]

    stage0 = folder / 'weaktr' / 'classify.pth'
    config = read_config(root / benchmark.weaktr, settings.weaktr)
    steps.append(
        tools.train(
            'WeakTr training (stage 0)',
            benchmark.weaktr,
            stage0.parent,
            [*weak, *settings.weaktr],
            labels,
            [stage0.name],
            work=_epochs(config, images),
            # Weights, and two checkpoints that also hold the optimizer's two moments.
            megabytes=GENERATOR_MB * (1 + 2 * 3),
        )
    )
    final = folder / 'semples' / 'refine.pth'
    config = read_config(root / benchmark.semples, settings.semples)
    start = f'model.mask_generator.init_cfg.checkpoint=weights:{stage0}'
    steps.append(
        tools.train(
            'SemPLeS training',
            benchmark.semples,
            final.parent,
            [start, *weak, *settings.semples],
            [stage0, *labels],
            [final.name, 'stages.json'],
            work=_epochs(config, images),
            megabytes=GENERATOR_MB * (3 + 2),
        )
    )

    # A whole model is loaded, so the weights of stage 0 are not needed.
    options = ['model.mask_generator.init_cfg=None', *weak, *settings.semples]
    views, masks = 2 * benchmark.scales, folder / 'pseudo_masks'
    steps += [
        tools.test(
            'seeds (a diagnostic)',
            benchmark.semples,
            [final],
            'seeds.json',
            options,
            work=f'{views} views of each image that has a mask',
        ),
        tools.pseudo_masks(
            benchmark.semples,
            final,
            masks,
            options,
            labels,
            work=f'{views} views of {images} images, and their refinement',
            megabytes=images * MASK_MB,
        ),
    ]
    truth, ids = data / benchmark.train_masks, data / benchmark.scored[0]
    if truth.is_dir() or benchmark.train_masks in benchmark.prepared:
        out = folder / 'masks.json'
        given = (str(masks), str(truth), '--classes', benchmark.classes)
        steps.append(
            Step(
                'pseudo masks, measured (a diagnostic)',
                (
                    *(str(root / 'tools/eval_pseudo_masks.py'), *given),
                    *('--ids', str(ids), '--json', str(out)),
                ),
                inputs=(masks, ids),
                outputs=(out,),
                work=f'{benchmark.scored[1]} masks',
            )
        )
    return steps + _segmenter_steps(benchmark, tools, data, masks, settings)


def _segmenter_steps(
    benchmark: Benchmark, tools: Tools, data: Path, masks: Path, settings: Settings
) -> list[Step]:
    """Retraining on the pseudo masks, and its tests."""
    epochs = read_config(tools.root / benchmark.segmenter, settings.segmenter).train_cfg.max_epochs
    work_dir = tools.folder / 'segmenter'
    weights = work_dir / f'epoch_{epochs}.pth'
    options = [
        f'randomness.seed={settings.seed}',
        *settings.segmenter,
        *dataset_options(('train', 'val', 'test'), data_root=data),
        *dataset_options(['train'], data_prefix__seg_map_path=masks.absolute()),
        *dataset_options(('val', 'test'), data_prefix__seg_map_path=benchmark.val_masks),
    ]
    tests = ' '.join(settings.test)
    steps = [
        tools.train(
            'Segmenter training',
            benchmark.segmenter,
            work_dir,
            options,
            [masks],
            [weights.name],
            work=f'{epochs} epochs of {benchmark.train[2]} images',
            megabytes=SEGMENTER_MB * 2 * 2,
        ),
        tools.test(
            'Segmenter on val',
            benchmark.segmenter,
            [weights],
            'val.json',
            options,
            *settings.test,
            work=f'{benchmark.val[2]} images, {tests}',
        ),
    ]
    if benchmark.labelled:
        labelled = dict(data_root=str(data), label_file=benchmark.label_file)
        steps.append(
            tools.test(
                'Segmenter on labelled training images (a diagnostic)',
                benchmark.labelled,
                [weights],
                'labelled_train.json',
                [*settings.segmenter, *dataset_options(['test'], **labelled)],
                *settings.test,
                work=f'{benchmark.scored[1]} images, {tests}',
            )
        )
    listed = data / 'ImageSets/Segmentation/test.txt'
    if benchmark.server and listed.is_file():
        out, competition = tools.folder / 'test', 'comp6'
        options = [*settings.segmenter, *dataset_options(['test'], data_root=data)]
        options += [f'test_evaluator.out_dir={out}', f'test_evaluator.competition={competition}']
        steps.append(
            tools.test(
                'archive for the evaluation server',
                benchmark.server,
                [weights],
                'test.json',
                options,
                *(argument for argument in settings.test if argument != '--crf'),
                outputs=[out / f'{competition}_test_cls.tar.gz'],
                work='the images of test.txt',
            )
        )
    return steps


def _epochs(config: Any, images: int) -> str:
    stages = ', '.join(f'{stage.name} {stage.epochs}' for stage in config.stages)
    return f'epochs of {images} images: {stages}'
