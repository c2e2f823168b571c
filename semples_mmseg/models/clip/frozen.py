"""A holder for networks that never train and never change."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Frozen(nn.Module):
    """Hold a network outside the parameters of the model that uses it.

    The network moves between devices and dtypes with its owner, but it is always in eval mode, its
    parameters need no gradient, and optimizers, distributed wrappers and checkpoints do not
    include them, because they can be loaded again from their source.

    Args:
        network: The network.
        dtype: Half precision to run the network in, independent of the caller; ``None`` keeps the
            caller's precision.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.dtype = dtype
        # A list hides the network from nn.Module's registration.
        self._held = [network.eval().requires_grad_(False)]

    @property
    def network(self) -> Any:
        """The network itself."""
        return self._held[0]

    def num_parameters(self) -> int:
        """Number of frozen parameters held."""
        return sum(parameter.numel() for parameter in self.network.parameters())

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
