"""Mistakes in configs, found before anything is built: unknown types, arguments and keys."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from .configs import Known, arguments, classes, parts, registries_at, type_names
from .errors import Refusal

# Similarity from 0 to 1. Other variables are more likely at the top of a config.
_NEAR, _NEAR_AT_TOP = 0.82, 0.92
_LOADERS = ('train', 'val', 'test')
# Keys at the top of a config that a Runner or a tool reads; other variables act while it is read.
TOP = (
    *(f'{name}_{part}' for name in _LOADERS for part in ('dataloader', 'cfg', 'evaluator')),
    *('model', 'stages', 'optim_wrapper', 'param_scheduler', 'default_hooks', 'custom_hooks'),
    *('pseudo_mask_dataloader', 'pseudo_mask_evaluator', 'crf', 'tta_model', 'tta_pipeline'),
    *('test_pipeline', 'work_dir', 'load_from', 'resume', 'randomness', 'env_cfg', 'compile'),
    *('log_processor', 'log_level', 'visualizer', 'default_scope', 'launcher', 'sync_bn'),
    *('experiment_name', 'auto_scale_lr', 'model_wrapper_cfg', 'find_unused_parameters'),
    *('data_preprocessor', 'custom_imports'),
)
# Packages whose classes build what they are given by the registries, all of it; others may take
# some of it out.
_PLAIN = ('mmengine', 'mmcv', 'mmseg', 'semples_mmseg')
_STAGE = re.compile(r'stages\.\d+\.optim_wrapper')
# Layers, which get more arguments from the model, and `requires_grad`.
_LAYERS = ('norm_cfg', 'act_cfg', 'conv_cfg', 'upsample_cfg', 'init_cfg', 'override')
_CONSTRUCTORS = ('DefaultOptimWrapperConstructor', 'TrainableOptimWrapperConstructor')
# Keys of sections that MMEngine, or a model, reads without a look at the others.
_READ: dict[str, tuple[str, ...]] = {
    'default_hooks': (
        *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
        *('epoch_seed', 'classes', 'finite_steps', 'visualization'),
    ),
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'dist_cfg': ('backend', 'timeout'),
    'auto_scale_lr': ('enable', 'base_batch_size'),
    'data_prefix': ('img_path', 'seg_map_path'),
    'data_preprocessor': ('mean', 'std', 'non_blocking'),
    'paramwise_cfg': (
        *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult'),
        *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'),
    ),
    'test_cfg': ('mode', 'crop_size', 'stride', 'fp16'),
}
# Types that are built for sections without one.
_TYPES = {
    **{'val_cfg': 'ValLoop', 'test_cfg': 'TestLoop', 'log_processor': 'LogProcessor'},
    **{'optim_wrapper': 'OptimWrapper', 'model.image_head': 'CLIPImageHead'},
    **{'model.text_head': 'CLIPTextHead', 'crf': 'CRFEvaluator'},
}
# Keys of a dictionary with a type that are taken out before it is built, by registry.
_TAKEN = {
    'HOOKS': ('priority',),
    'OPTIM_WRAPPERS': ('constructor', 'paramwise_cfg', 'optimizer'),
    'PARAM_SCHEDULERS': ('convert_to_iter_based',),
}
# Registries of which a config gives all arguments, but for these.
_COMPLETE = ('TRANSFORMS', 'HOOKS', 'METRICS', 'DATASETS', 'PARAM_SCHEDULERS')
_GIVEN = ('optimizer', 'metrics')


def lint(config: Config) -> None:
    """Refuse a config with types, arguments or keys that do not exist; nothing is built.

    What MMEngine builds is never refused: arguments that it adds itself, classes that take any
    argument, types of packages that are not installed.
    The ``Refusal`` names the config's file, the dotted key of the first mistake, and the right one.
    """
    for mistake in _mistakes(config.to_dict()):
        raise Refusal(f'{config.filename or "the config"}: {mistake}')


def _mistakes(content: Mapping[str, Any]) -> Iterator[str]:
    for key, value in content.items():
        right = _nearest(key, TOP, _NEAR_AT_TOP)
        if right and not any(use.split('.')[0] != key for use in uses(content, value)):
            yield f'{key} has no effect; did you mean {right}?'
    scope = content.get('default_scope') or 'mmengine'
    for key in content:
        if key in TOP or key.endswith(('_dataloader', '_evaluator', '_pipeline')):
            yield from _below(content[key], key, scope)
    whole = content.get('optim_wrapper')
    if not isinstance(whole, Mapping):
        return
    yield from _optimizer(whole, 'optim_wrapper', scope)
    for where, stage in parts(content.get('stages'), 'stages'):
        if isinstance(stage, Mapping) and isinstance(stage.get('optim_wrapper'), Mapping):
            place = f'{where}.optim_wrapper'
            try:
                wrapper = merged(whole, stage['optim_wrapper'])
            except (TypeError, KeyError) as error:
                yield f'{place} does not fit into optim_wrapper: {error}'
                continue
            yield from _below(wrapper, place, scope)
            yield from _optimizer(wrapper, place, scope)


def merged(whole: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A dictionary with changes merged into it by MMEngine's rules; both stay as they are."""
    both = Config(dict(it=copy.deepcopy(dict(whole))))
    both.merge_from_dict(dict(it=copy.deepcopy(dict(change))))
    return both.to_dict()['it']


def _below(at: Any, where: str, scope: str, plain: bool = True) -> Iterator[str]:
    """Mistakes in a part of a config and its parts; ``plain``: the registries get all of it."""
    if isinstance(at, Mapping):
        if '_delete_' in at:
            yield f'{where}._delete_ has no effect in a list, which replaces the inherited one'
        scope = at.get('_scope_') or scope
        plain = plain and not where.endswith(_LAYERS)
        yield from _part(at, where, scope, plain)
        for built in classes(at.get('type'), where, scope):
            if getattr(built, '__name__', '') == 'Albu':  # builds by another library
                return
            plain = plain and str(built.__module__).split('.')[0] in _PLAIN
    for key, child in parts(at, where):
        if not _STAGE.fullmatch(key):  # checked when it is merged
            yield from _below(child, key, scope, plain)


def _part(part: Mapping[str, Any], where: str, scope: str, plain: bool) -> Iterator[str]:
    kind = part.get('type')
    if isinstance(kind, str) and not classes(kind, where, scope):
        right = _nearest(kind, type_names(where, scope)) if '.' not in kind else None
        if right:
            yield f'{where}.type: there is no {kind!r}; did you mean {right!r}?'
        return
    found = [list(_unfit(part, where, option, plain)) for option in known(part, where, scope)]
    if found and all(found):
        yield found[0][0]


def _unfit(part: Mapping[str, Any], where: str, known: Known, plain: bool = True) -> Iterator[str]:
    for key in part:
        if key in known.names or key in ('type', '_scope_'):
            continue
        numbered = key.rstrip('0123456789') in known.names
        if plain and known.closed or not numbered and _nearest(key, known.names):
            yield f'{where}.{key}: {known.owner} has no {key!r}{hint(key, known.names, where)}'
    for name in known.needs if plain else ():
        if name not in part:
            yield f'{where}: {known.owner} needs {name!r}'


def known(part: Mapping[str, Any], where: str, scope: str) -> list[Known]:
    """What the part of a config at a dotted key may hold, for each class; empty: not known."""
    last = where.rpartition('.')[2]
    if 'type' in part:
        kind = part['type']
    elif where == 'train_cfg':
        by_epoch = part.get('by_epoch') or 'max_epochs' in part
        kind = 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop'
    elif last == 'optim_wrapper' and 'optimizer' in part:
        kind = 'OptimWrapper'
    else:
        kind = _TYPES.get(where)
    if kind is not None:
        return [_of_class(built, where) for built in classes(kind, where, scope)]
    if last.endswith('_dataloader'):
        extra = ('num_batch_per_epoch', 'disable_subprocess_warning')
        return [Known(arguments(DataLoader).names.union(extra), 'dataset' in part, 'DataLoader')]
    if where == 'randomness':
        return [Known(arguments(Runner.set_randomness).names, True, where)]
    if '.custom_keys.' in where:
        return [Known(frozenset(('lr_mult', 'decay_mult')), False, where)]
    return [Known(frozenset(_READ[last]), False, where)] if last in _READ else []


def _of_class(built: Callable, where: str) -> Known:
    registry = next(iter(registries_at(where)), '')
    taken = (*_TAKEN.get(registry, ()), *(('by_epoch',) if where == 'train_cfg' else ()))
    found = arguments(built)
    needs = [name for name in found.needs if registry in _COMPLETE and name not in _GIVEN]
    return found._replace(names=found.names.union(taken), needs=tuple(needs))


def _optimizer(wrapper: Mapping[str, Any], where: str, scope: str) -> Iterator[str]:
    """Mistakes in rules for parameters, and values that the optimizer refuses for one number."""
    given, own = wrapper.get('optimizer'), wrapper.get('constructor', _CONSTRUCTORS[0])
    if own not in _CONSTRUCTORS or not isinstance(given, Mapping):
        return
    rules = (wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}
    for built in classes(given.get('type'), f'{where}.optimizer', scope):
        # MMEngine stores unknown settings of parameters.
        settings = Known(
            arguments(built).names.union(('lr_mult', 'decay_mult')), False, 'custom_keys'
        )
        for key, rule in parts(rules, f'{where}.paramwise_cfg.custom_keys'):
            if isinstance(rule, Mapping):
                yield from _unfit(rule, key, settings)
        if built.__module__.startswith('torch.optim'):
            unbuilt = ('type', '_scope_', 'fused')  # `fused` depends on the device
            values = {name: value for name, value in given.items() if name not in unbuilt}
            try:
                built([nn.Parameter(torch.zeros(1, 1))], **values)
            except (TypeError, ValueError) as error:
                yield f'{where}.optimizer={values}: {error}'


def uses(at: Any, value: Any, where: str = '') -> Iterator[str]:
    """Dotted keys whose value equals ``value``, or begins with it (a path)."""
    same = type(at) is type(value) and value not in (None, True, False, '', {}, [])
    if where and same and (at == value or isinstance(at, str) and at.startswith(value)):
        yield where
        return
    for key, child in parts(at, where):
        yield from uses(child, value, key)


def _nearest(key: str, names: Collection[str], near: float = _NEAR) -> str | None:
    """The known name that is most similar to an unknown one."""
    close = [] if key in names else difflib.get_close_matches(str(key), names, 1, near)
    return close[0] if close else None


def hint(wrong: str, names: Collection[str], where: str = '') -> str:
    """End of a message about an unknown name: the nearest known one, or all if they are few."""
    if close := _nearest(wrong, names, 0.6):
        return f'; did you mean {f"{where}.{close}" if where else close}?'
    return f'; there are {", ".join(sorted(names))}' if 0 < len(names) <= 40 else ''
