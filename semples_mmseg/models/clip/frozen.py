"""A holder for networks that never train and never change."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...utils.errors import Refusal
from .streamlining import PatchProduct

_HALVES = dict(bfloat16=torch.bfloat16, float16=torch.float16)
_ROUNDED = (nn.Linear, nn.Conv2d, nn.MultiheadAttention, PatchProduct)


class Frozen(nn.Module):
    """Hold a network outside the parameters of the model that uses it.

    The network moves between devices and dtypes with its owner, but it is always in eval mode, its
    parameters need no gradient, and optimizers, distributed wrappers and checkpoints do not
    include them, because they can be loaded again from their source.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.dtype: torch.dtype | None = None
        # A list hides the network from nn.Module's registration.
        self._held = [network.eval().requires_grad_(False)]

    @property
    def network(self) -> Any:
        """The network itself."""
        return self._held[0]

    def run_in(self, dtype: str | None, option: str) -> None:
        """Run in half precision from now on; ``None`` changes nothing.

        Weights of matrix products and convolutions are rounded once; autocast, with the same
        results, rounds frozen ones in every call, because it keeps copies only of trained ones.
        """
        if dtype is None:
            return
        if dtype not in _HALVES:
            raise Refusal(f'{option} must be None or one of {", ".join(_HALVES)}, got {dtype!r}')
        self.dtype = _HALVES[dtype]
        for module in self.network.modules():
            if isinstance(module, _ROUNDED):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'Frozen':
        super()._apply(fn, recurse)
        self.network._apply(fn)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        if self.dtype is None:
            return self.network(*args, **kwargs)
        device = next(self.network.parameters()).device.type
        with torch.autocast(device, self.dtype):
            return self.network(*args, **kwargs)
