"""What the tools for training, tests and pseudo masks share: configs and ``--cfg-options``."""

import argparse
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from mmengine.config import Config

from ..datasets.transforms import set_max_side
from ..engine.stage_plan import RUN_KEYS, STAGE_KEYS, StagePlan
from ..utils.configs import read_config, read_options
from ..utils.errors import Refusal
from ..utils.io import check_writable
from ..utils.linter import TOP, hint, known, lint, uses
from ..weights import forbid_code, read_checkpoint, resolve, trust_checkpoints, with_scheme
from ..weights.latest_checkpoint import latest_whole_checkpoint

_LEAST_SHARED = 16 * 2**20  # bytes; without room, workers wait forever
# Hooks of MMEngine's that it leaves out where the config has None; it stops at other names.
_REMOVABLE = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


class TextOnceConfig(Config):
    """A config whose text is formatted once for each content.

    MMEngine reads it five times at the start of a run and at every checkpoint, 0.1 s or more each.
    """

    _texts: ClassVar[dict[str, str]] = {}

    @property
    def pretty_text(self) -> str:
        """The config as Python."""
        content = repr(self._cfg_dict)
        if content not in self._texts:
            self._texts[content] = super().pretty_text
        return self._texts[content]


def load_config(args: argparse.Namespace, *needs: str) -> Config:
    """Read the config of a tool's arguments, with their changes; it must have the keys ``needs``.

    ``--trust-checkpoint`` applies to the whole process from here on.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    trust_checkpoints() if args.trust_checkpoint else forbid_code()
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
    if hasattr(args, 'max_side'):
        # oneDNN keeps a kernel for every size of photo: a gigabyte after some hundred.
        os.environ.setdefault('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '64')
    max_side = getattr(args, 'max_side', None)
    if max_side and not sum(set_max_side(config[key], max_side) for key in config):
        raise Refusal(
            f'--max-side has no effect: the pipelines of {args.config} have no '
            "dict(type='LimitSide', max_side=...), which stands behind the transform that loads "
            'the image'
        )
    if args.work_dir or not config.get('work_dir'):
        config.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem)
    check_writable(config.work_dir, '--work-dir')
    workers = False
    for name in ('train', 'val', 'test', 'pseudo_mask'):
        loader = config.get(f'{name}_dataloader') or {}
        if loader.get('num_workers') == 0:  # PyTorch refuses options of workers then
            loader.pop('persistent_workers', None)
            loader.pop('prefetch_factor', None)
        workers = workers or bool(loader.get('num_workers'))
    hooks = config.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in _REMOVABLE]:
        del hooks[name]
    shared = '/dev/shm'
    if workers and Path(shared).is_dir() and shutil.disk_usage(shared).free < _LEAST_SHARED:
        raise Refusal(
            f'the workers of data loaders need shared memory, and {shared} has less than '
            f'{_LEAST_SHARED // 2**20} MiB free: make it larger (docker run --shm-size=8g, or '
            '--ipc=host), or set num_workers=0 of all data loaders with --cfg-options'
        )
    return config


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Change a config in place by the values of ``--cfg-options``, by dotted key.

    A key has to be in the config, or be a setting of the Runner or an argument of a class (a
    dictionary with ``type``), see ``utils/linter.py``. ``+KEY=VALUE`` adds any other key.
    """
    for key in options:
        if not key.startswith('+'):
            _check_known(config, key)
            _check_effect(config, key)
    config.merge_from_dict({key.removeprefix('+'): value for key, value in options.items()})


def _check_known(config: Config, key: str) -> None:
    at: Any = config.to_dict()
    parts = key.split('.')
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth])
        if isinstance(at, Mapping) and part not in at:
            names = _addable(config, at, where)
            if names is None or part in names:
                return
            raise Refusal(
                f'--cfg-options {key}: {where or "the config"} has no {part!r}'
                f'{hint(part, {*names, *at}, where)} To add a new key: +{key}=VALUE'
            )
        try:
            at = at[int(part) if isinstance(at, (list, tuple)) else part]
        except (IndexError, ValueError, TypeError):
            what = f'a list of {len(at)}' if isinstance(at, (list, tuple)) else repr(at)
            raise Refusal(f'--cfg-options {key}: {where} is {what} and has no {part!r}') from None


def _addable(config: Config, at: Mapping[str, Any], where: str) -> set[str] | None:
    """Keys that a part of a config takes besides those that it has; None for any."""
    if not where:
        return {*TOP}
    if where.startswith('stages.'):
        stage = ('name', 'epochs', *STAGE_KEYS, *RUN_KEYS)
        return {*stage} if where.count('.') == 1 else None  # the linter merges, then checks
    found = known(at, where, config.get('default_scope') or 'mmengine')
    if 'type' in at and not any(option.closed for option in found):
        return None
    return {name for option in found for name in option.names}


def _check_effect(config: Config, key: str) -> None:
    first = key.split('.')[0]
    if first not in TOP:
        others = [
            name for name in uses(config.to_dict(), config[first]) if name.split('.')[0] in TOP
        ]
        if isinstance(config[first], Mapping) and not others:
            return  # such as a loader for --split-dataloader
        raise Refusal(
            f'--cfg-options {key} has no effect: {first} is a variable that the config has used '
            f'already. Set {", ".join(others[:6]) or "the keys that were made of it"}'
        )
    stages = config.get('stages') or []
    if key == 'train_dataloader.batch_size' and stages and all(s.get('batch_size') for s in stages):
        raise Refusal(
            f'--cfg-options {key} has no effect: each stage has a batch size of its own, '
            'stages.0.batch_size and so on'
        )


def choose_stage(config: Config, wanted: str) -> None:
    """Remove all stages but one, named or numbered from 1, from a config, to run it by itself.

    Every stage but the first starts from the weights of the stage before it: ``load_from``. Modules
    that it starts again (``restore``) are read from the files of the run that left those weights.
    """
    stages = config.get('stages') or []
    names = [stage['name'] for stage in stages]
    found = [index for index, name in enumerate(names) if wanted in (name, str(index + 1))]
    if len(found) != 1:
        listed = ', '.join(f'{number} {name}' for number, name in enumerate(names, 1)) or 'none'
        raise Refusal(
            f'--stage {wanted} names {"several" if found else "none"} of the stages of '
            f'{config.filename}; give one of their numbers: {listed}'
        )
    (index,) = found
    if index and not config.get('load_from'):
        raise Refusal(
            f'stage {wanted} starts from the weights of the stage before it: give them '
            f'with --cfg-options load_from=.../{names[index - 1]}.pth'
        )
    for module, name in StagePlan(stages).own_files(index).items():
        file = Path(config.load_from).with_name(name)
        if not file.is_file():
            raise Refusal(
                f'stage {wanted} starts {module} from its weights at the start of '
                f'{stages[index].restore[module]!r}, and there is no {file}: name the file with '
                f'them, --cfg-options stages.{index}.restore.{module}=FILE'
            )
        stages[index].restore[module] = str(file)
    config.stages = [stages[index]]


def choose_start(config: Config, resume: bool) -> None:
    """Set in a config what a training run starts from.

    ``--resume`` (or ``resume=True`` in the config) continues from the latest undamaged checkpoint
    of the work folder. If there is none yet, ``load_from`` is used: the run continues from a file
    with the state of a run, and starts from a file with weights alone.
    """
    resume = resume or bool(config.get('resume'))
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    latest = latest_whole_checkpoint(config.work_dir, hook.get('out_dir')) if resume else None
    start = latest or config.get('load_from')
    config.resume = latest is not None
    if start is None:
        return
    config.load_from = with_scheme(start)
    if latest is None and '://' not in start:
        content = read_checkpoint(start) if resume else resolve(start)
        config.resume = isinstance(content, dict) and 'optimizer' in content
