"""``--cfg-options``: refusing options that have no effect."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from ..engine.stage_plan import RUN_KEYS, STAGE_KEYS
from ..engine.stage_settings import PARAMWISE
from ..utils.config_options import parts
from ..utils.errors import Refusal

_LOADER = (
    *('batch_size', 'num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory'),
    *('drop_last', 'timeout', 'sampler', 'batch_sampler', 'worker_init_fn', 'collate_fn'),
    *('dataset', 'num_batch_per_epoch'),
)
_PARTS = ('dataloader', 'cfg', 'evaluator')
# Keys at the top of a config that a Runner or a tool reads; other variables act while it is read.
TOP = (
    *(f'{name}_{part}' for name in ('train', 'val', 'test') for part in _PARTS),
    *('model', 'stages', 'optim_wrapper', 'param_scheduler', 'default_hooks', 'custom_hooks'),
    *('pseudo_mask_dataloader', 'pseudo_mask_evaluator', 'crf', 'tta_model', 'tta_pipeline'),
    *('work_dir', 'load_from', 'resume', 'randomness', 'env_cfg', 'log_processor', 'log_level'),
    *('visualizer', 'default_scope', 'launcher', 'experiment_name', 'auto_scale_lr', 'compile'),
    *('model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'data_preprocessor'),
)
_KNOWN: dict[str, Sequence[str]] = {
    'train_cfg': ('by_epoch', 'max_epochs', 'val_begin', 'val_interval', 'dynamic_intervals'),
    'test_cfg': ('mode', 'crop_size', 'stride', 'fp16'),
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'dist_cfg': ('backend', 'timeout'),
    'log_processor': (
        *('by_epoch', 'window_size', 'custom_cfg', 'num_digits', 'log_with_hierarchy'),
        'mean_pattern',
    ),
    'optim_wrapper': (
        *('optimizer', 'paramwise_cfg', 'constructor', 'clip_grad', 'accumulative_counts'),
    ),
    'paramwise_cfg': PARAMWISE,
    'auto_scale_lr': ('enable', 'base_batch_size'),
    'randomness': ('seed', 'deterministic', 'diff_rank_seed'),
    'data_prefix': ('img_path', 'seg_map_path'),
    'stages': ('name', 'epochs', *STAGE_KEYS, *RUN_KEYS),
    'image_head': ('normalization', 'max_batch', 'dtype'),
    'text_head': ('template', 'dtype'),
    'data_preprocessor': ('non_blocking',),
}
# Arguments of a class that the config does not name.
_OPEN = ('optim_wrapper', 'pseudo_mask_evaluator', 'crf', 'model_wrapper_cfg', 'default_hooks')


def merge_options(config: Config, options: Mapping[str, Any]) -> None:
    """Change a config by the values of ``--cfg-options``.

    A key has to be in the config, or be a setting of the Runner or an argument of a class (a
    dictionary with ``type``). ``+KEY=VALUE`` adds any other key.

    Args:
        config: Changed in place.
        options: Values by dotted key.

    Raises:
        ValueError: If a key is unknown or has no effect; the message names the right key.
    """
    for key in options:
        if not key.startswith('+'):
            _check_known(config, key)
            _check_effect(config, key)
    config.merge_from_dict({key.removeprefix('+'): value for key, value in options.items()})


def _check_known(config: Config, key: str) -> None:
    at: Any = config.to_dict()
    parts, open_below = key.split('.'), False
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth])
        if isinstance(at, (list, tuple)):
            if not part.isdigit() or int(part) >= len(at):
                raise Refusal(
                    f'--cfg-options {key}: {where} is a list of {len(at)}; give the position of an '
                    f'entry, from 0 to {len(at) - 1}, in the place of {part!r}'
                )
            at = at[int(part)]
            continue
        if not isinstance(at, Mapping):
            raise Refusal(f'--cfg-options {key}: {where} is {at!r} and has no {part!r}')
        if part in at:
            at = at[part]
            continue
        parent = parts[depth - 1] if depth else ''
        known = [*at, *known_in(parts[:depth])]
        open_here = open_below or 'type' in at or parent in _OPEN
        similar = difflib.get_close_matches(part, known, 1, 0.8 if open_here else 0.6)
        if part in known or open_here and not similar:
            return
        hint = (
            f'did you mean {".".join([*parts[:depth], similar[0]])}?'
            if similar
            else f'there are {", ".join(sorted(map(str, known)))}.'
        )
        raise Refusal(
            f'--cfg-options {key}: {where or "the config"} has no {part!r}; {hint} To add a new '
            f'key: +{key}=VALUE'
        )


def known_in(parts: Sequence[str]) -> Sequence[str]:
    """Keys that a part of a config may have, besides those that are there."""
    if not parts:
        return TOP
    if parts[0] == 'stages' and len(parts) == 2:
        return _KNOWN['stages']
    if parts[-1].endswith('_dataloader'):
        return _LOADER
    if 'custom_keys' in parts[:-1]:
        return ('lr_mult', 'decay_mult')
    return _KNOWN.get(parts[-1], ())


def _check_effect(config: Config, key: str) -> None:
    first = key.split('.')[0]
    staged = [stage for stage in config.get('stages') or [] if isinstance(stage, Mapping)]
    if first not in TOP:
        found = list(uses(config.to_dict(), config[first]))
        others = [name for name in found if name.split('.')[0] in TOP]
        if isinstance(config[first], Mapping) and not others:
            return  # such as a loader for --split-dataloader
        raise Refusal(
            f'--cfg-options {key} has no effect: {first} is a variable that the config has used '
            'already. '
            + (f'Set {", ".join(others[:6])}' if others else 'Set the keys that were made of it')
        )
    if staged and key == 'train_cfg.max_epochs':
        raise Refusal(
            f'--cfg-options {key} has no effect: the length of this run is set by its stages, '
            'stages.0.epochs and so on'
        )
    own = all(stage.get('batch_size') for stage in staged)
    if staged and own and key == 'train_dataloader.batch_size':
        raise Refusal(
            f'--cfg-options {key} has no effect: each stage has a batch size of its own, '
            'stages.0.batch_size and so on'
        )


def uses(at: Any, value: Any, where: str = '') -> Iterator[str]:
    """Dotted keys whose value equals ``value``, or begins with it (a path)."""
    same = type(at) is type(value) and value not in (None, True, False, '')
    if where and same and (at == value or isinstance(at, str) and at.startswith(value)):
        yield where
        return
    for key, child in parts(at, where):
        yield from uses(child, value, key)
