"""Mixed precision on any device: bfloat16 as it is, float16 with a loss scaler."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from ..utils.errors import Refusal


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(AmpOptimWrapper):
    """MMEngine's wrapper, for a CPU too, and with a loss scaler for float16 alone.

    bfloat16 has the range of float32, so that gradients need no scale. Trained weights, optimizer
    state, masks, cosines and losses are float32.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'``; by default bfloat16, on a GPU that cannot compute it
            float16.
        **kwargs: Options of ``mmengine.optim.OptimWrapper``.

    Raises:
        Refusal: If ``dtype`` is another one, or the GPU cannot compute it.
    """

    def __init__(self, dtype: str | None = None, **kwargs: Any) -> None:
        OptimWrapper.__init__(self, **kwargs)  # MMEngine's own refuses a CPU and always scales
        self._device = self.optimizer.param_groups[0]['params'][0].device.type
        able = self._device != 'cuda' or torch.cuda.is_bf16_supported(including_emulation=False)
        dtype = dtype or ('bfloat16' if able else 'float16')
        if dtype not in ('bfloat16', 'float16'):
            raise Refusal(f'optim_wrapper.dtype must be bfloat16 or float16, got {dtype!r}')
        if dtype == 'bfloat16' and not able:
            raise Refusal('this GPU cannot compute bfloat16: train with --amp float16')
        self.cast_dtype = getattr(torch, dtype)
        self._scale_update_param = None
        self.loss_scaler = torch.amp.GradScaler(self._device, enabled=dtype == 'float16')
        print_log(f'mixed precision: {dtype}', logger='current')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in half precision; MMEngine's autocast refuses float16 on a CPU."""
        context = OptimWrapper.optim_context(self, model)
        with context, torch.autocast(self._device, self.cast_dtype):
            yield
