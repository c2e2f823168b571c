"""What the command line tools share: reading configs, early checks."""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config
from mmengine.runner import Runner

from ..datasets.pipelines import set_max_side
from ..engine.stage_plan import StagePlan
from ..utils.configs import read_config, read_options
from ..utils.errors import Missing, Refusal
from ..utils.io import check_writable
from ..utils.linter import lint
from ..weights import forbid_code, read_checkpoint, resolve, trust_checkpoints, with_scheme
from ..weights.latest_checkpoint import latest_whole_checkpoint
from .evaluation import has_masks, metrics_that_need_masks
from .options import merge_options

_LEAST_SHARED = 16 * 2**20
# Hooks of MMEngine's that it leaves out where the config has None; it stops at other names.
_REMOVABLE = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
_COUNTS = (
    *(f'{loader}_dataloader.batch_size' for loader in ('train', 'val', 'test', 'pseudo_mask')),
    *(f'train_cfg.{name}' for name in ('max_epochs', 'max_iters', 'val_interval')),
)


class TextOnceConfig(Config):
    """A config whose text is formatted once for each content.

    MMEngine reads the text five times at the start of a run and again at every checkpoint.
    Formatting it takes a tenth of a second or more.
    """

    _texts: ClassVar[dict[str, str]] = {}

    @property
    def pretty_text(self) -> str:
        """See ``Config``."""
        content = repr(self._cfg_dict)
        if content not in self._texts:
            self._texts[content] = super().pretty_text
        return self._texts[content]


def load_config(args: argparse.Namespace, *needs: str) -> Config:
    """Read the config of a tool's arguments, with their changes merged in.

    ``--trust-checkpoint`` applies to the whole process from here on.

    Args:
        args: Options that all tools have.
        *needs: Keys that the config must have.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    trust_checkpoints() if args.trust_checkpoint else forbid_code()
    if not Path(args.config).is_file():
        raise Missing(f'no config at {args.config}')
    if args.data_root:
        os.environ['DATA_ROOT'] = args.data_root
    config = TextOnceConfig()
    config.__setstate__(read_config(args.config).__getstate__())
    if args.data_root and 'DATA_ROOT' not in config.env_variables:
        raise Refusal(
            f'--data-root has no effect: {args.config} does not use {{{{$DATA_ROOT:...}}}}'
        )
    config.launcher = args.launcher
    merge_options(config, read_options(args.cfg_options))
    lint(config)
    lacking = [key for key in needs if config.get(key) is None]
    if lacking:
        raise Refusal(
            f'{args.config} has no {" and no ".join(lacking)}; a config of your own begins with '
            "_base_ = 'semples_mmseg::...' and changes what it inherits"
        )
    max_side = getattr(args, 'max_side', None)
    if max_side and not sum(set_max_side(config[key], max_side) for key in config):
        raise Refusal(
            f'--max-side has no effect: the pipelines of {args.config} have no '
            "dict(type='LimitSide', max_side=...), which stands behind the transform that loads "
            'the image'
        )
    if args.work_dir:
        config.work_dir = args.work_dir
    elif not config.get('work_dir'):
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    check_writable(config.work_dir, '--work-dir')
    for name in ('train', 'val', 'test', 'pseudo_mask'):
        loader = config.get(f'{name}_dataloader') or {}
        if loader.get('num_workers') == 0:  # PyTorch refuses options of workers then
            loader.pop('persistent_workers', None)
            loader.pop('prefetch_factor', None)
    hooks = config.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in _REMOVABLE]:
        del hooks[name]
    _check_counts(config)
    _check_shared_memory(config)
    return config


def _check_counts(config: Config) -> None:
    """Check that batches and training are not empty."""
    for key in _COUNTS:
        section, name = key.split('.')
        value = (config.get(section) or {}).get(name)
        if value is not None and not (isinstance(value, int) and value > 0):
            raise Refusal(f'{key} is {value!r}, and has to be a whole number of at least 1')


def _check_shared_memory(config: Config, shared: str = '/dev/shm') -> None:
    """Check that loader workers can pass images on; without shared memory they wait forever."""
    loaders = [config.get(f'{name}_dataloader') or {} for name in ('train', 'val', 'test')]
    workers = any(loader.get('num_workers') for loader in loaders)
    if workers and Path(shared).is_dir() and shutil.disk_usage(shared).free < _LEAST_SHARED:
        raise Refusal(
            f'the workers of data loaders need shared memory, and {shared} has less than '
            f'{_LEAST_SHARED // 2**20} MiB free: make it larger (docker run --shm-size=8g, or '
            '--ipc=host), or set num_workers=0 of train_dataloader, val_dataloader and '
            'test_dataloader with --cfg-options'
        )


def check_validation(config: Config) -> None:
    """Check that a training run with validation has masks for it."""
    loader = config.get('val_dataloader')
    needing = metrics_that_need_masks(config.get('val_evaluator'))
    if not loader or not needing or has_masks(loader.dataset):
        return
    root = loader.dataset.get('data_root')
    if root and not Path(root).is_dir():
        return  # the data set raises an error, or draws its images there
    raise Refusal(
        f'{", ".join(needing)} of val_evaluator needs masks, and val_dataloader has none '
        '(dataset.data_prefix.seg_map_path, and LoadAnnotations in its pipeline). To train without '
        'validation: --cfg-options val_dataloader=None val_cfg=None val_evaluator=None'
    )


def check_batches(runner: Runner) -> None:
    """Check that a training run without stages has enough images for a batch."""
    loader: Any = runner.train_loop.dataloader
    if not runner.cfg.get('stages') and len(loader) == 0:
        raise Refusal(
            f'a batch of {loader.batch_size} images is more than the {len(loader.dataset)} there '
            'are, and the last incomplete batch is dropped: lower train_dataloader.batch_size'
        )


def check_stages(config: Config) -> None:
    """Check the list of stages of a staged config before anything is built."""
    if (config.get('train_cfg') or {}).get('type') == 'StagedTrainLoop':
        StagePlan(config.get('stages'))


def choose_stage(config: Config, wanted: str) -> None:
    """Remove all stages but one from a config, to run that one by itself.

    Every stage but the first starts from the weights of the stage before it: ``load_from``. Modules
    that it starts again (``restore``) are read from the files of the run that left those weights.

    Args:
        config: Changed in place.
        wanted: The stage's name, or its number in the list, from 1.
    """
    stages = config.get('stages') or []
    names = [stage['name'] for stage in stages]
    listed = ', '.join(f'{number} {name}' for number, name in enumerate(names, 1)) or 'none'
    found = [index for index, name in enumerate(names) if wanted in (name, str(index + 1))]
    if len(found) != 1:
        reason = 'names several' if found else 'names none'
        raise Refusal(
            f'--stage {wanted} {reason} of the stages of {config.filename}; give one of their '
            f'numbers: {listed}'
        )
    if found[0] and not config.get('load_from'):
        raise Refusal(
            f'stage {wanted} starts from the weights of the stage before it: give them '
            f'with --cfg-options load_from=.../{names[found[0] - 1]}.pth'
        )
    stage = stages[found[0]]
    for module, source in (stage.get('restore') or {}).items():
        name = StagePlan(stages).own_files(found[0]).get(module)
        if name is None:
            continue  # a file
        file = Path(config.load_from).with_name(name)
        if not file.is_file():
            raise Refusal(
                f'stage {wanted} starts {module} from its weights at the start of {source!r}, '
                f'and there is no {file}: name the file with them, --cfg-options '
                f'stages.{found[0]}.restore.{module}=FILE'
            )
        stage.restore[module] = str(file)
    config.stages = [stage]


def choose_start(config: Config, resume: bool) -> None:
    """Set what a training run starts from.

    ``--resume`` (or ``resume=True`` in the config) continues from the latest undamaged checkpoint
    of the work folder. If there is none yet, ``load_from`` is used: the run continues from a file
    with the state of a run, and starts from a file with weights alone.

    Args:
        config: Changed in place.
        resume: Whether ``--resume`` was given.
    """
    resume = resume or bool(config.get('resume'))
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    latest = latest_whole_checkpoint(config.work_dir, hook.get('out_dir')) if resume else None
    config.resume = latest is not None
    start = latest or config.get('load_from')
    if start is None:
        return
    config.load_from = with_scheme(start)
    if '://' in start or latest is not None:
        return
    resolve(start)
    if resume:
        content = read_checkpoint(start)
        config.resume = isinstance(content, dict) and 'optimizer' in content
