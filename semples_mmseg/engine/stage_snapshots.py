"""Weights that a module had at the start of a stage, which a later stage restores."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def take_snapshot(model: nn.Module, module: str, trained: Iterable[str]) -> dict[str, Tensor]:
    """Copy the tensors of a module that train before they are restored.

    Args:
        model: The whole model.
        module: Dotted path of the module.
        trained: Dotted paths of the modules that train until then.

    Returns:
        CPU copies, by their names in the model.
    """
    prefixes = tuple(f'{path}.' for path in trained)
    return {
        key: value.detach().cpu().clone()
        for key, value in model.state_dict().items()
        if key.startswith(f'{module}.') and key.startswith(prefixes)
    }


def put_back(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give a model the tensors of a snapshot."""
    own = model.state_dict()
    with torch.no_grad():
        for key, value in tensors.items():
            own[key].copy_(value)
