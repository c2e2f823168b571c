"""What the command line tools share: their options, reading configs, early checks."""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from mmengine.config import Config

from ..engine.stage_plan import StagePlan
from ..utils.config_options import ConfigOptions
from ..weights import forbid_code, trust_checkpoints, with_scheme
from ..weights.latest_checkpoint import latest_whole_checkpoint

_LEAST_SHARED = 16 * 2**20


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all of MMSeg's tools have."""
    parser.add_argument('--work-dir', help='folder of logs and results')
    parser.add_argument(
        '--data-root', help='folder of the data set, as the environment variable DATA_ROOT'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        help='changes of the config, e.g. stages.0.epochs=1 model.clip.pretrained=None',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='run whatever a checkpoint asks for while it is loaded; only for files whose makers '
        'you know',
    )
    # The distributed launcher passes this one.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config of a tool's arguments, with their changes merged in.

    ``--trust-checkpoint`` holds for this process from here on.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If ``--data-root`` is given and the config does not use it.
        OSError: If the work folder cannot be written.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    trust_checkpoints() if args.trust_checkpoint else forbid_code()
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'no config at {args.config}')
    if args.data_root:
        os.environ['DATA_ROOT'] = args.data_root
    config = Config.fromfile(args.config)
    if args.data_root and 'DATA_ROOT' not in config.env_variables:
        raise ValueError(
            f'--data-root has no effect: {args.config} does not use {{{{$DATA_ROOT:...}}}}'
        )
    config.launcher = args.launcher
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    if args.work_dir:
        config.work_dir = args.work_dir
    elif not config.get('work_dir'):
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    check_work_dir(config.work_dir)
    check_shared_memory(config)
    return config


def check_work_dir(path: str) -> None:
    """Make a folder and see that files can be written there.

    Raises:
        OSError: If it cannot; says which folder and which option.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OSError(
            f'the work folder {path} cannot be written ({error}): choose another with --work-dir'
        ) from error


def check_shared_memory(config: Config, shared: str = '/dev/shm') -> None:
    """See that loader workers can hand over images; without shared memory they wait forever.

    Raises:
        OSError: If workers are wanted and there is next to no shared memory.
    """
    loaders = [config.get(f'{name}_dataloader') or {} for name in ('train', 'val', 'test')]
    workers = any(loader.get('num_workers') for loader in loaders)
    if workers and Path(shared).is_dir() and shutil.disk_usage(shared).free < _LEAST_SHARED:
        raise OSError(
            f'the workers of data loaders need shared memory, and {shared} has less than '
            f'{_LEAST_SHARED // 2**20} MiB free: make it larger (docker run --shm-size=8g, or '
            '--ipc=host), or set num_workers=0 and persistent_workers=False of train_dataloader, '
            'val_dataloader and test_dataloader with --cfg-options'
        )


def check_stages(config: Config) -> None:
    """Check the list of stages of a staged config before anything is built.

    Raises:
        ValueError: See ``StagePlan``.
    """
    hooks = [hook for hook in config.get('custom_hooks') or [] if hook['type'] == 'StageSwitchHook']
    for hook in hooks:
        StagePlan(hook.get('stages', config.get('stages')))


def choose_stage(config: Config, wanted: str) -> None:
    """Leave a single stage of a config, to be run by itself.

    Any stage but the first starts from the weights of the one before, which ``load_from`` names.

    Args:
        config: Changed in place.
        wanted: The stage's name, or its number in the list, from 1.

    Raises:
        ValueError: If the config has no such stage or several, or weights to start from are due.
    """
    stages = config.get('stages') or []
    names = [stage['name'] for stage in stages]
    listed = ', '.join(f'{number} {name}' for number, name in enumerate(names, 1)) or 'none'
    found = [index for index, name in enumerate(names) if wanted in (name, str(index + 1))]
    if len(found) != 1:
        reason = 'says several' if found else 'is none'
        raise ValueError(
            f'--stage {wanted} {reason} of the stages of {config.filename}; give one of their '
            f'numbers: {listed}'
        )
    if found[0] and not config.get('load_from'):
        raise ValueError(
            f'stage {wanted} goes on from the weights that the stage before it has left: give them '
            f'with --cfg-options load_from=.../{names[found[0] - 1]}.pth'
        )
    config.stages = [stages[found[0]]]


def choose_start(config: Config, resume: bool) -> None:
    """Set what a training run starts from.

    With ``resume`` that is the latest whole checkpoint of the work folder; the config's
    ``load_from``, the start of an unbroken run, counts only where there is none yet.

    Raises:
        ValueError: If all checkpoints of the work folder are damaged.
    """
    latest = latest_whole_checkpoint(config.work_dir) if resume else None
    config.resume = latest is not None
    start = latest or config.get('load_from')
    if start is not None:
        config.load_from = with_scheme(start)
