"""Optimizers that hold only what trains."""

import inspect
import logging
from collections.abc import Collection, Mapping
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS
from torch import nn

from ..utils.names import hint

_PARAMWISE = (
    *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult'),
    *('dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'),
)


def check_optimizer(config: Mapping[str, Any], model: nn.Module) -> None:
    """Refuse what MMEngine's constructor does not read, or reads as a setting of a parameter.

    Other constructors have settings of their own and are not checked.

    Args:
        config: The ``optim_wrapper`` of a config.
        model: Its parameters' names are compared with ``custom_keys``; one that is part of none is
            logged as a warning.

    Raises:
        ValueError: If there is no such optimizer, or a key of ``paramwise_cfg`` or of one of its
            ``custom_keys`` is unknown.
    """
    constructor = config.get('constructor', 'DefaultOptimWrapperConstructor')
    if constructor not in ('DefaultOptimWrapperConstructor', 'TrainableOptimWrapperConstructor'):
        return
    optimizer = config.get('optimizer') or {}
    kind = optimizer.get('type')
    built = OPTIMIZERS.get(kind) if isinstance(kind, str) else kind
    if built is None:
        there = set(OPTIMIZERS.module_dict) | set(OPTIMIZERS.parent.module_dict)
        raise ValueError(
            f'optim_wrapper.optimizer.type: there is no {kind!r}{hint(str(kind), there)}'
        )
    paramwise = config.get('paramwise_cfg') or {}
    _check_keys('optim_wrapper.paramwise_cfg', paramwise, _PARAMWISE)
    settings = {'lr_mult', 'decay_mult', *inspect.signature(built).parameters}
    names = [name for name, _ in model.named_parameters()]
    for key, rules in (paramwise.get('custom_keys') or {}).items():
        _check_keys(f'optim_wrapper.paramwise_cfg.custom_keys.{key}', rules, settings)
        if not any(key in name for name in names):
            MMLogger.get_current_instance().warning(
                f'optim_wrapper.paramwise_cfg.custom_keys has {key!r}, which is part of no '
                "parameter's name: it has no effect"
            )


def _check_keys(where: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            raise ValueError(f'{where} has no {key!r}{hint(key, known)}')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, without the parameters that need no gradient."""

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer wrapper.

        Raises:
            ValueError: If nothing in the model trains.
        """
        logger = MMLogger.get_current_instance()
        level = logger.level
        # MMEngine logs three lines per parameter, and each frozen one as a warning.
        logger.setLevel(logging.ERROR)
        try:
            wrapper = super().__call__(model)
        finally:
            logger.setLevel(level)
        groups = wrapper.optimizer.param_groups
        for group in groups:
            group['params'] = [
                parameter for parameter in group['params'] if parameter.requires_grad
            ]
        groups[:] = [group for group in groups if group['params']]
        if not groups:
            raise ValueError('nothing in the model trains: check the stage and what it `trains`')
        return wrapper
