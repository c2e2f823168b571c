"""The distributed wrapper of models that are on the CPU."""

from typing import Any

from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper, without the GPU that the Runner passes to every wrapper.

    Args:
        module: The model, on the CPU.
        device_ids: Not used; PyTorch refuses it for a model on the CPU.
        broadcast_buffers: Off, as in the wrapper that the Runner chooses by default.
        **kwargs: As of ``mmengine.model.MMDistributedDataParallel``.
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: Any = None,
        broadcast_buffers: bool = False,
        **kwargs: Any,
    ) -> None:
        del device_ids
        super().__init__(module, broadcast_buffers=broadcast_buffers, **kwargs)
