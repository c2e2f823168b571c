"""Learning rates of the published runs that MMEngine does not have."""

import math
from typing import Any

from mmengine.optim import CosineAnnealingLR, PolyLR
from mmseg.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(CosineAnnealingLR):
    """WeakTr's stage 0: linear warm-up, then a cosine that is *not* shifted by the warm-up.

    With base rate b, W warm-up epochs and T epochs in all, epoch t has

        f(t) = s + t (b - s) / W                    for t < W
        f(t) = m + (b - m) (1 + cos(pi t / T)) / 2  from then on

    Args:
        optimizer: The optimizer or its wrapper.
        *args: As of ``CosineAnnealingLR``.
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
        optimizer: The optimizer or its wrapper.
        *args: As of ``PolyLR``.
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
