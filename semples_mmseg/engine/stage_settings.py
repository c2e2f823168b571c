"""Checking what a stage sets, without touching the model or random numbers."""

from collections.abc import Mapping
from typing import Any

import torch
from mmseg.registry import OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, TRANSFORMS
from torch import nn

from ..utils.arguments import check_arguments, check_keys_of, parameters
from ..utils.config_options import parts
from ..utils.errors import Refusal
from .stage_plan import StageSpec

PARAMWISE = (
    *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult'),
    *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'),
)
_CONSTRUCTORS = ('DefaultOptimWrapperConstructor', 'TrainableOptimWrapperConstructor')


def check_settings(config: Mapping[str, Any], spec: StageSpec, where: str) -> None:
    """Check the settings of a stage against their classes; the stage may begin hours later.

    Args:
        config: Config of the run.
        spec: The stage.
        where: Place of the settings, the start of the message.

    Raises:
        ValueError: If there is no such class, or it has no such argument.
    """
    check_optimizer(spec.optimizer_config(config), f'{where}: optim_wrapper')
    for number, schedule in enumerate(spec.schedulers_config(config) or []):
        place = f'{where}: param_scheduler.{number}'
        check_arguments(PARAM_SCHEDULERS, schedule, place, ['optimizer', 'convert_to_iter_based'])
    _check_pipeline(spec.train_pipeline, f'{where}: train_pipeline')


def check_optimizer(wrapper: Mapping[str, Any], where: str) -> None:
    """Check an ``optim_wrapper`` against its classes, and build its optimizer for one number.

    Args:
        wrapper: The config; not checked if it has a constructor other than MMEngine's or ours, or
            several optimizers.
        where: Its place, for the message.

    Raises:
        ValueError: If there is no such class, argument or rule for parameters, or the optimizer
            refuses a value.
    """
    own = wrapper.get('constructor', _CONSTRUCTORS[0]) not in _CONSTRUCTORS
    if own or 'optimizer' not in wrapper:
        return
    given = dict(type='OptimWrapper') | dict(wrapper)
    check_arguments(OPTIM_WRAPPERS, given, where, ['constructor', 'paramwise_cfg'])
    optimizer = check_arguments(
        OPTIMIZERS, wrapper['optimizer'], f'{where}.optimizer', ['params', 'model_params']
    )
    # MMEngine ignores unknown rules, and stores unknown settings of parameters.
    rules = wrapper.get('paramwise_cfg') or {}
    check_keys_of(rules, PARAMWISE, f'{where}.paramwise_cfg')
    settings = {'lr_mult', 'decay_mult', *parameters(optimizer)}
    for key, rule in (rules.get('custom_keys') or {}).items():
        if key != '_scope_':
            check_keys_of(rule, settings, f'{where}.paramwise_cfg.custom_keys.{key}')
    if optimizer.__module__.startswith('torch.optim'):
        unbuilt = ('type', '_scope_', 'fused')  # `fused` depends on the device
        values = {key: value for key, value in wrapper['optimizer'].items() if key not in unbuilt}
        try:
            optimizer([nn.Parameter(torch.zeros(1, 1))], **values)
        except (TypeError, ValueError) as error:
            raise Refusal(f'{where}.optimizer={values}: {error}') from error


def _check_pipeline(pipeline: Any, where: str) -> None:
    for key, step in parts([pipeline] if isinstance(pipeline, Mapping) else pipeline, where):
        if not isinstance(step, Mapping):
            _check_pipeline(step, key)  # alternatives of RandomChoice
        elif check_arguments(TRANSFORMS, step, key).__module__.startswith('mmcv.'):
            # Other classes, such as Albu, have transforms of other kinds.
            _check_pipeline(step.get('transforms'), f'{key}.transforms')
