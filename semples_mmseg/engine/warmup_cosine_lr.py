"""The learning rate of WeakTr's stage 0."""

import math
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS

from ..utils.errors import Refusal


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    """Linear warm-up, then a cosine that is *not* shifted by the warm-up.

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
        ValueError: If the warm-up is not shorter than the whole.
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
        return [self._at(t, base) for base in self.base_values]

    def _at(self, t: int, base: float) -> float:
        if t < self.warmup:
            return self.start + t * (base - self.start) / self.warmup
        cosine = (1 + math.cos(math.pi * t / self.total)) / 2
        return self.minimum + (base - self.minimum) * cosine
