"""Optimizers that hold only what trains."""

import logging

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from ..utils.errors import Refusal


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, without the parameters that need no gradient.

    Raises:
        Refusal: If nothing in the model trains.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        logger = MMLogger.get_current_instance()
        names = [name for name, _ in model.named_parameters()]
        for key in self.paramwise_cfg.get('custom_keys') or {}:
            if key != '_scope_' and not any(key in name for name in names):
                logger.warning(
                    f'optim_wrapper.paramwise_cfg.custom_keys has {key!r}, which is part of no '
                    "parameter's name: it has no effect"
                )
        level = logger.level
        # MMEngine logs three lines per parameter, and each frozen one as a warning.
        logger.setLevel(logging.ERROR)
        try:
            wrapper = super().__call__(model)
        finally:
            logger.setLevel(level)
        groups = wrapper.optimizer.param_groups
        for group in groups:
            group['params'] = [p for p in group['params'] if p.requires_grad]
        groups[:] = [group for group in groups if group['params']]
        if not groups:
            raise Refusal('nothing in the model trains: check the stage and what it `trains`')
        return wrapper
