"""Polynomial decay of the learning rate to a share of each group's own start."""

from typing import Any

from mmengine.optim import PolyLR
from mmseg.registry import PARAM_SCHEDULERS

from ..utils.errors import Refusal


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
        eta_min_ratio: The minimum r as a share of each group's initial value.
        reach_minimum: ``False`` takes S = end - begin as published, so that the minimum is that of
            the step after the last.
        **kwargs: As of ``PolyLR``, without ``eta_min``.

    Raises:
        ValueError: If ``eta_min_ratio`` is not in [0, 1].
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
            raise Refusal(f'`eta_min_ratio` must be in [0, 1], got {eta_min_ratio}.')
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
