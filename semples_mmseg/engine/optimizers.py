"""Optimizers that hold only what trains, mixed precision, and the published schedules."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import MMLogger, print_log
from mmengine.optim import (
    AmpOptimWrapper,
    CosineAnnealingLR,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    PolyLR,
)
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, PARAM_SCHEDULERS
from torch import nn

from ..utils.errors import Refusal


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TrainableOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, without the parameters that need no gradient; some have to."""

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


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(AmpOptimWrapper):
    """MMEngine's wrapper, for a CPU too, and with a loss scaler for float16 alone.

    Trained weights, optimizer state, masks, cosines and losses are float32.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'``; by default bfloat16, on a GPU that cannot compute it
            float16.
        **kwargs: Options of ``mmengine.optim.OptimWrapper``.
    """

    def __init__(self, dtype: str | None = None, **kwargs: Any) -> None:
        OptimWrapper.__init__(self, **kwargs)  # MMEngine's own refuses a CPU and always scales
        self._device = self.optimizer.param_groups[0]['params'][0].device.type
        able = self._device != 'cuda' or torch.cuda.is_bf16_supported(including_emulation=False)
        dtype = dtype or ('bfloat16' if able else 'float16')
        if dtype not in ('bfloat16', 'float16'):
            raise Refusal(f'optim_wrapper.dtype must be bfloat16 or float16, got {dtype!r}')
        if dtype == 'bfloat16' and not able:
            raise Refusal('this GPU cannot compute bfloat16: train with --amp float16')
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(self._device, enabled=dtype == 'float16')
        print_log(f'mixed precision: {dtype}', logger='current')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in half precision; MMEngine's autocast refuses float16 on a CPU."""
        context = OptimWrapper.optim_context(self, model)
        with context, torch.autocast(self._device, self.cast_dtype):
            yield


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(CosineAnnealingLR):
    """WeakTr's stage 0: linear warm-up, then a cosine that is *not* shifted by the warm-up.

    With base rate b, W warm-up epochs and T epochs in all, epoch t has

        f(t) = s + t (b - s) / W                    for t < W
        f(t) = m + (b - m) (1 + cos(pi t / T)) / 2  from then on

    Args:
        warmup: W.
        start: s.
        eta_min: m.
        lag: Whether epoch t uses f(max(t - 1, 0)), as the published runs do.
        **kwargs: As of ``CosineAnnealingLR``; ``T_max`` is T, by default the length of the stage,
            ``end - begin``.
    """

    def __init__(
        self,
        optimizer: Any,
        *args: Any,
        warmup: int = 5,
        start: float = 1e-6,
        eta_min: float = 1e-5,
        lag: bool = False,
        **kwargs: Any,
    ) -> None:
        self.warmup, self.start, self.lag = warmup, start, lag
        super().__init__(optimizer, *args, eta_min=eta_min, **kwargs)

    def _get_value(self) -> list[float]:
        t = max(self.last_step - 1, 0) if self.lag else self.last_step
        if t < self.warmup:
            return [self.start + t * (b - self.start) / self.warmup for b in self.base_values]
        cosine = (1 + math.cos(math.pi * t / self.T_max)) / 2
        return [self.eta_min + (b - self.eta_min) * cosine for b in self.base_values]


@PARAM_SCHEDULERS.register_module()
class PolyRatioLR(PolyLR):
    """MMEngine's ``PolyLR`` whose minimum is a ratio and not a number.

    So the curves of parameters with another ``lr_mult`` have the same shape:
    lr(s) = base * (r + (1 - r) * (1 - s / S) ** power), with S = end - begin - 1 steps, so that the
    last step has the minimum.

    Args:
        eta_min_ratio: The minimum r as a share of each group's initial value, 0..1.
        reach_minimum: ``False`` takes S = end - begin as published, so that the minimum is that of
            the step after the last.
        **kwargs: As of ``PolyLR``, without ``eta_min``.
    """

    def __init__(
        self,
        optimizer: Any,
        *args: Any,
        eta_min_ratio: float,
        reach_minimum: bool = True,
        **kwargs: Any,
    ) -> None:
        self.eta_min_ratio = eta_min_ratio
        super().__init__(optimizer, *args, **kwargs)
        self.total_iters += not reach_minimum

    def _get_value(self) -> list[float]:
        """One step from the current values, so that it combines with other schedulers."""
        values = [group[self.param_name] for group in self.optimizer.param_groups]
        if self.last_step == 0:
            return values
        shrink = (1 - 1 / (self.total_iters - self.last_step + 1)) ** self.power
        least = [self.eta_min_ratio * base for base in self.base_values]
        return [(now - low) * shrink + low for now, low in zip(values, least, strict=True)]
