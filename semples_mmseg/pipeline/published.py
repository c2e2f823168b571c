"""The published pipeline as steps: from a downloaded data set to the figures of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ..pseudo_masks.manifest import MANIFEST
from ..weights.latest_checkpoint import POINTER
from .benchmarks import Benchmark
from .steps import Step

GENERATOR_MB, SEGMENTER_MB = 87, 104
"""Weights in fp32: 21.8 M and 25.9 M parameters."""
MASK_MB = 0.0032
"""Mean size of the 2913 masks of VOC's train and val."""


@dataclass(frozen=True)
class Settings:
    """What a run changes.

    Attributes:
        gpus: Processes of every step that uses the model, one a GPU.
        seed: Of all trainings.
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
        folder: Where results go.
        data_root: Where the data set is.
        settings: What differs from the configs.

    Raises:
        FileNotFoundError: If a file of the download is missing.
    """
    missing = [
        str(data_root / name) for name in benchmark.sources if not (data_root / name).exists()
    ]
    if missing:
        raise FileNotFoundError(
            f'{benchmark.title} is not complete at {data_root}: {", ".join(missing)} missing. Name '
            'its folder with --data-root; docs/data.md says what belongs there'
        )
    return _Plan(benchmark, root, folder, data_root.resolve(), settings).steps()


class _Plan:
    """The steps of one run; each method makes one of them."""

    def __init__(
        self, benchmark: Benchmark, root: Path, folder: Path, data: Path, settings: Settings
    ) -> None:
        self.benchmark, self.root, self.folder = benchmark, root, folder
        self.data, self.settings = data, settings
        self.stage0 = folder / 'weaktr' / 'classify.pth'
        self.final = folder / 'semples' / 'refine.pth'
        self.masks = folder / 'pseudo_masks'
        epochs = self._value(benchmark.segmenter, settings.segmenter, 'train_cfg.max_epochs')
        self.segmenter = folder / 'segmenter' / f'epoch_{epochs}.pth'

    def steps(self) -> list[Step]:
        """All of them, in order."""
        wanted = [self._prepare(), self._stage0(), self._semples(), self._seeds(), self._masks()]
        truth = self.data / self.benchmark.train_masks
        if truth.is_dir() or self.benchmark.train_masks in self.benchmark.prepared:
            wanted.append(self._masks_measured())
        wanted += [self._retraining(), self._val()]
        if self.benchmark.labelled:
            wanted.append(self._labelled())
        if self.benchmark.server and (self.data / 'ImageSets/Segmentation/test.txt').is_file():
            wanted.append(self._server())
        return wanted

    def _prepare(self) -> Step:
        return Step(
            'data',
            (self._tool(self.benchmark.converter), str(self.data), *self.settings.convert),
            inputs=tuple(self.data / name for name in self.benchmark.sources),
            outputs=tuple(self.data / name for name in self.benchmark.prepared),
            work='lists, image-level labels, masks for evaluation',
        )

    def _stage0(self) -> Step:
        config, settings = self.benchmark.weaktr, self.settings.weaktr
        return Step(
            'stage 0 (WeakTr)',
            self._train(config, self.stage0.parent, *self._weak(), *settings),
            inputs=self._labels(),
            config=self.root / config,
            outputs=(self.stage0,),
            resume=('--resume',),
            goes_on_from=self.stage0.parent / POINTER,
            work=self._epochs(config, settings),
            # two checkpoints to resume from hold the optimizer's two moments too
            megabytes=GENERATOR_MB * (1 + 2 * 3),
        )

    def _semples(self) -> Step:
        config, settings = self.benchmark.semples, self.settings.semples
        start = f'model.mask_generator.init_cfg.checkpoint=weights:{self.stage0}'
        return Step(
            'the three stages of SemPLeS',
            self._train(config, self.final.parent, start, *self._weak(), *settings),
            inputs=(self.stage0, *self._labels()),
            config=self.root / config,
            outputs=(self.final, self.final.parent / 'stages.json'),
            resume=('--resume',),
            goes_on_from=self.final.parent / POINTER,
            work=self._epochs(config, settings),
            megabytes=GENERATOR_MB * (3 + 2),
        )

    def _seeds(self) -> Step:
        out = self.folder / 'seeds.json'
        return Step(
            'seeds, measured at all background scores (a diagnostic)',
            (*self._test(self.benchmark.semples, self.final, out), *self._cam_options()),
            inputs=(self.final,),
            config=self.root / self.benchmark.semples,
            outputs=(out,),
            work=f'{2 * self.benchmark.scales} views of each image that has a mask',
        )

    def _masks(self) -> Step:
        number = self.benchmark.train[2]
        command = self._launch('make_pseudo_masks.py', self.benchmark.semples, str(self.final))
        return Step(
            'pseudo masks',
            (*command, '--out', str(self.masks), *self._work('test'), *self._cam_options()),
            inputs=(self.final, *self._labels()),
            config=self.root / self.benchmark.semples,
            outputs=(self.masks,),
            fresh=('--overwrite',),
            goes_on_from=self.masks / MANIFEST,
            work=f'{2 * self.benchmark.scales} views of {number} images, and their refinement',
            megabytes=number * MASK_MB,
        )

    def _masks_measured(self) -> Step:
        ids, number = self.benchmark.scored
        out, listed = self.folder / 'masks.json', self.data / ids
        truth = self.data / self.benchmark.train_masks
        return Step(
            'pseudo masks, measured (a diagnostic)',
            (
                *(self._tool('tools/eval_pseudo_masks.py'), str(self.masks), str(truth)),
                *('--classes', self.benchmark.classes, '--ids', str(listed), '--json', str(out)),
            ),
            inputs=(self.masks, listed),
            outputs=(out,),
            work=f'{number} masks',
        )

    def _retraining(self) -> Step:
        epochs = self._value(
            self.benchmark.segmenter, self.settings.segmenter, 'train_cfg.max_epochs'
        )
        return Step(
            'Segmenter, retrained on the pseudo masks',
            self._train(
                self.benchmark.segmenter, self.segmenter.parent, *self._segmenter_options()
            ),
            inputs=(self.masks,),
            config=self.root / self.benchmark.segmenter,
            outputs=(self.segmenter,),
            resume=('--resume',),
            goes_on_from=self.segmenter.parent / POINTER,
            work=f'{epochs} epochs of {self.benchmark.train[2]} images',
            megabytes=SEGMENTER_MB * 2 * 2,
        )

    def _val(self) -> Step:
        out = self.folder / 'val.json'
        command = self._test(self.benchmark.segmenter, self.segmenter, out, *self.settings.test)
        return Step(
            'Segmenter on val',
            (*command, '--cfg-options', *self._segmenter_options()),
            inputs=(self.segmenter,),
            config=self.root / self.benchmark.segmenter,
            outputs=(out,),
            work=f'{self.benchmark.val[2]} images, {" ".join(self.settings.test)}',
        )

    def _labelled(self) -> Step:
        assert self.benchmark.labelled is not None
        out, dataset = self.folder / 'labelled_train.json', 'test_dataloader.dataset'
        options = [*self.settings.segmenter, f'{dataset}.data_root={self.data}']
        options.append(f'{dataset}.label_file={self.benchmark.label_file}')
        command = self._test(self.benchmark.labelled, self.segmenter, out, *self.settings.test)
        return Step(
            'Segmenter on labelled training images (a diagnostic)',
            (*command, '--cfg-options', *options),
            inputs=(self.segmenter,),
            config=self.root / self.benchmark.labelled,
            outputs=(out,),
            work=f'{self.benchmark.scored[1]} images, {" ".join(self.settings.test)}',
        )

    def _server(self) -> Step:
        assert self.benchmark.server is not None
        out, dataset = self.folder / 'test', 'test_dataloader.dataset'
        options = [
            *self.settings.segmenter,
            f'{dataset}.ann_file={self.data / "ImageSets/Segmentation/test.txt"}',
            f'{dataset}.data_prefix.img_path={self.data / "JPEGImages"}',
            f'test_evaluator.out_dir={out}',
        ]
        metrics, competition = self.folder / 'test.json', 'comp6'
        options.append(f'test_evaluator.competition={competition}')
        tests = [option for option in self.settings.test if option != '--crf']
        command = self._test(self.benchmark.server, self.segmenter, metrics, *tests)
        return Step(
            'archive for the evaluation server',
            (*command, '--cfg-options', *options),
            inputs=(self.segmenter,),
            config=self.root / self.benchmark.server,
            outputs=(out / f'{competition}_test_cls.tar.gz', metrics),
            work='the images of test.txt',
        )

    def _weak(self) -> list[str]:
        """Where the data set is, for configs that train on image-level labels."""
        options = [f'randomness.seed={self.settings.seed}']
        for loader in ('train', 'val', 'test', 'pseudo_mask'):
            dataset = f'{loader}_dataloader.dataset'
            options.append(f'{dataset}.data_root={self.data}')
            if self.benchmark.label_file:
                options.append(f'{dataset}.label_file={self.benchmark.label_file}')
        return options

    def _cam_options(self) -> list[str]:
        # the weights of a whole model follow: those of stage 0 are not wanted
        return [
            *('--cfg-options', 'model.mask_generator.init_cfg=None'),
            *(*self._weak(), *self.settings.semples),
        ]

    def _segmenter_options(self) -> list[str]:
        options = [f'randomness.seed={self.settings.seed}', *self.settings.segmenter]
        for loader in ('train', 'val', 'test'):
            ids, images, _ = self.benchmark.train if loader == 'train' else self.benchmark.val
            masks = self.masks if loader == 'train' else self.data / self.benchmark.val_masks
            dataset = f'{loader}_dataloader.dataset'
            options += [
                f'{dataset}.ann_file={self.data / ids}',
                f'{dataset}.data_prefix.img_path={self.data / images}',
                f'{dataset}.data_prefix.seg_map_path={masks}',
            ]
        return options

    def _labels(self) -> tuple[Path, ...]:
        names = (n for n in self.benchmark.prepared if n.endswith(('.txt', '.json')))
        return tuple(self.data / name for name in names)

    def _tool(self, name: str) -> str:
        return str(self.root / name)

    def _work(self, name: str) -> tuple[str, str]:
        return '--work-dir', str(self.folder / name)

    def _launch(self, tool: str, *arguments: str) -> tuple[str, ...]:
        """A tool on the GPUs: through the distributed launcher where there are several."""
        config, *rest = arguments
        command = (self._tool(f'tools/{tool}'), str(self.root / config), *rest)
        if self.settings.gpus == 1:
            return command
        spread = ('-m', 'torch.distributed.run', '--standalone')
        processes = ('--nproc_per_node', str(self.settings.gpus))
        return (*spread, *processes, *command, '--launcher', 'pytorch')

    def _train(self, config: str, work_dir: Path, *options: str) -> tuple[str, ...]:
        command = self._launch('train.py', config)
        return (*command, '--work-dir', str(work_dir), '--cfg-options', *options)

    def _test(self, config: str, weights: Path, out: Path, *arguments: str) -> tuple[str, ...]:
        command = self._launch('test.py', config, str(weights), '--metrics', str(out))
        return (*command, *arguments, *self._work('test'))

    def _value(self, config: str, options: Sequence[str], key: str) -> str:
        """A setting as the options leave it."""
        given = [option.partition('=')[2] for option in options if option.startswith(f'{key}=')]
        return given[-1] if given else str(_lookup(Config.fromfile(self.root / config), key))

    def _epochs(self, config: str, options: Sequence[str]) -> str:
        stages = Config.fromfile(self.root / config).stages
        each = [
            f'{stage["name"]} {self._value(config, options, f"stages.{index}.epochs")}'
            for index, stage in enumerate(stages)
        ]
        return f'epochs of {self.benchmark.train[2]} images: {", ".join(each)}'


def _lookup(config: Config, key: str) -> object:
    value: object = config
    for part in key.split('.'):
        value = value[int(part)] if isinstance(value, list) else value[part]  # type: ignore[index]
    return value
