"""Learning rates of the published runs that MMEngine does not have."""

import math
from typing import Any

from mmengine.optim import PolyLR
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS

from ..utils.errors import Refusal


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    """WeakTr's stage 0: linear warm-up, then a cosine that is *not* shifted by the warm-up.

    With base rate b, W warm-up epochs and T epochs in all, epoch t has

        f(t) = s + t (b - s) / W                    for t < W
        f(t) = m + (b - m) (1 + cos(pi t / T)) / 2  from then on

    Args:
        optimizer: The optimizer or its wrapper.
        *args: As of MMEngine's schedulers.
        total: T.
        warmup: W.
        start: s.
        minimum: m.
        lag: Whether epoch t uses f(max(t - 1, 0)), as the published runs do.
        **kwargs: As of MMEngine's schedulers; ``by_epoch=True`` steps once an epoch.

    Raises:
        Refusal: If the warm-up is not shorter than the whole.
    """

    def __init__(
        self,
        optimizer: Any,
        *args: Any,
        total: int,
        warmup: int = 5,
        start: float = 1e-6,
        minimum: float = 1e-5,
        lag: bool = False,
        **kwargs: Any,
    ) -> None:
        if not 0 <= warmup < total:
            raise Refusal(f'a warm-up of {warmup} does not fit in {total} epochs')
        self.total, self.warmup, self.start, self.minimum = total, warmup, start, minimum
        self.lag = lag
        super().__init__(optimizer, *args, **kwargs)

    def _get_value(self) -> list[float]:
        t = max(self.last_step - 1, 0) if self.lag else self.last_step
        if t < self.warmup:
            return [self.start + t * (b - self.start) / self.warmup for b in self.base_values]
        cosine = (1 + math.cos(math.pi * t / self.total)) / 2
        return [self.minimum + (b - self.minimum) * cosine for b in self.base_values]


@PARAM_SCHEDULERS.register_module()
class PolyRatioLR(PolyLR):
    """MMEngine's ``PolyLR`` whose minimum is a ratio and not a number.

    ``PolyLR`` has one ``eta_min`` for all parameters, so with ``lr_mult`` their curves have
    different shapes. Here the multiplier applies to the whole curve, its minimum too:
    lr(s) = base * (r + (1 - r) * (1 - s / S) ** power), with S = end - begin - 1 steps, so that the
    last step has the minimum.

    Args:
        optimizer: The optimizer or its wrapper.
        *args: As of ``PolyLR``.
        eta_min_ratio: The minimum r as a share of each group's initial value, 0..1.
        reach_minimum: ``False`` takes S = end - begin as published, so that the minimum is that of
            the step after the last.
        **kwargs: As of ``PolyLR``, without ``eta_min``.

    Raises:
        Refusal: If ``eta_min_ratio`` is not in [0, 1].
    """

    def __init__(
        self,
        optimizer: Any,
        *args: Any,
        eta_min_ratio: float,
        reach_minimum: bool = True,
        **kwargs: Any,
    ) -> None:
        if not 0 <= eta_min_ratio <= 1:
            raise Refusal(f'eta_min_ratio must be in [0, 1], got {eta_min_ratio}')
        self.eta_min_ratio = eta_min_ratio
        super().__init__(optimizer, *args, **kwargs)
        self.total_iters += not reach_minimum

    def _get_value(self) -> list[float]:
        """One step from the current values, so that it combines with other schedulers."""
        if self.last_step == 0:
            return [group[self.param_name] for group in self.optimizer.param_groups]
        shrink = (1 - 1 / (self.total_iters - self.last_step + 1)) ** self.power
        return [
            (group[self.param_name] - self.eta_min_ratio * base) * shrink
            + self.eta_min_ratio * base
            for group, base in zip(self.optimizer.param_groups, self.base_values, strict=True)
        ]
