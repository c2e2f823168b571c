"""Deciding, before the optimizer steps, whether loss and gradients allow it."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

# A loss scale up to which gradients are not scaled up any more.
_NO_SCALE = 1.0


class StepGate:
    """Stands before the steps of an optimizer wrapper and lets the finite ones through.

    It takes the place of ``update_params`` of that very object: so it works with the wrapper that
    a config names, ``OptimWrapper``, ``AmpOptimWrapper`` or another, and with gradient
    accumulation, where one bad part spoils the sum. What is not let through leaves weights and the
    optimizer's state alone, and the running statistics of normalisation layers get back the values
    from before it. Gradients are zeroed and steps are counted as always.

    All processes of a job decide the same: one all-reduction of two numbers a step. Finding out
    takes a pass over the gradients, and the host waits for the device before the step: as it does
    right after it anyway, when MMEngine reads the losses for its log.

    A loss scaler finds its scale by trying: it leaves out a step whose *scaled* gradients
    overflow, and lowers the scale. That is its ordinary work and left to it, as long as the loss
    is finite and the scale is above 1; below, nothing is scaled up and the gradients themselves
    are not finite.

    Args:
        wrapper: Of a single optimizer; changed.
        models: Whose running statistics are kept: the model, and moving averages of it.

    Attributes:
        skipped: Whether the latest step was left out; ``None`` before it comes (while gradients
            are accumulated), and where the loss scaler did its work.

    Raises:
        TypeError: If the wrapper holds several optimizers.
    """

    def __init__(self, wrapper: Any, models: Iterable[nn.Module]) -> None:
        if not isinstance(wrapper, OptimWrapper) or isinstance(wrapper, OptimWrapperDict):
            raise TypeError(
                f'steps of a {type(wrapper).__name__} cannot be watched, it has not one optimizer: '
                'set default_hooks.finite_steps=None'
            )
        self.wrapper: Any = wrapper
        self.skipped: bool | None = None
        self._statistics = [
            buffer
            for model in models
            for module in model.modules()
            if isinstance(module, _NormBase)
            for buffer in module.buffers(recurse=False)
        ]
        self._before: list[Tensor] | None = None
        self._losses_finite: Tensor | None = None
        self.wrapper.update_params = self.update_params

    def begin(self) -> None:
        """Get ready for a forward pass."""
        self.skipped = None
        if self._before is None:
            self._before = [buffer.clone() for buffer in self._statistics]

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: Mapping[str, Any] | None = None,
        zero_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Do what the wrapper does, but step only if all is finite."""
        finite = loss.detach().isfinite().all()
        self._losses_finite = (
            finite if self._losses_finite is None else self._losses_finite & finite
        )
        wrapper = self.wrapper
        wrapper.backward(wrapper.scale_loss(loss))
        if not wrapper.should_update():
            return
        if self._may_step():
            wrapper.step(**(step_kwargs or {}))
        else:
            for buffer, value in zip(self._statistics, self._before or (), strict=True):
                buffer.copy_(value)
        wrapper.zero_grad(**(zero_kwargs or {}))
        self._before = self._losses_finite = None

    def _may_step(self) -> bool:
        """Decide, and remember it."""
        losses, gradients = self._are_finite()
        self.skipped = not (losses and gradients)
        scaler = getattr(self.wrapper, 'loss_scaler', None)
        if losses and not gradients and scaler is not None:
            # It knows what to make of them, and does not step.
            self.skipped = True if scaler.get_scale() <= _NO_SCALE else None
            return True
        return not self.skipped

    def _are_finite(self) -> tuple[bool, bool]:
        """Whether losses and gradients are finite, in all processes."""
        gradients = [
            parameter.grad
            for group in self.wrapper.optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        # The norm, not each value: Adam's second moments square them.
        parts = torch._foreach_norm(gradients) if gradients else [torch.zeros(())]
        norm = torch.linalg.vector_norm(torch.stack(parts))
        finite = norm.isfinite()
        assert self._losses_finite is not None, 'there was a loss'
        flags = torch.stack([self._losses_finite.to(finite.device), finite]).float()
        all_reduce(flags, 'min')
        losses_finite, gradients_finite = flags.bool().tolist()
        return losses_finite, gradients_finite
