"""A holder for CLIP's networks, which usually never train and never change."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...utils.errors import Refusal
from .streamlining import PatchProduct, streamline

_HALVES = dict(bfloat16=torch.bfloat16, float16=torch.float16)
_ROUNDED = (nn.Linear, nn.Conv2d, nn.MultiheadAttention, PatchProduct)


class Encoder(nn.Module):
    """Hold a side of CLIP.

    A frozen one moves between devices and dtypes with its owner, but it is always in eval mode, its
    parameters need no gradient, and optimizers, distributed wrappers and checkpoints do not
    include them, because they can be loaded again from their source. Any other is left as it is,
    and is an ordinary submodule, ``clip``.

    Args:
        network: The network. A frozen one is rewritten in place, see ``streamline``.
        frozen: Whether it never changes.
    """

    def __init__(self, network: nn.Module, frozen: bool) -> None:
        super().__init__()
        self.frozen = frozen
        self.dtype: torch.dtype | None = None
        # A list hides the network from nn.Module's registration.
        self._held = [network]
        if frozen:
            streamline(network).eval().requires_grad_(False)
        else:
            self.clip = network

    @property
    def network(self) -> Any:
        """The network itself."""
        return self._held[0]

    def run_in(self, dtype: str | None, option: str) -> None:
        """Run in half precision (a ``dtype``) from now on.

        Frozen weights of matrix products and convolutions are rounded once; autocast, with the same
        results, rounds them in every call, because it keeps copies only of trained ones.
        """
        if dtype is None:
            return
        if dtype not in _HALVES:
            raise Refusal(f'{option} must be None or one of {", ".join(_HALVES)}, got {dtype!r}')
        self.dtype = _HALVES[dtype]
        for module in self.network.modules() if self.frozen else ():
            if isinstance(module, _ROUNDED):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> 'Encoder':
        super()._apply(fn, recurse)
        if self.frozen:
            self.network._apply(fn)
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network."""
        if self.dtype is None:
            return self.network(*args, **kwargs)
        device = next(self.network.parameters()).device.type
        with torch.autocast(device, self.dtype):
            return self.network(*args, **kwargs)
