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

DTYPES = ('bfloat16', 'float16')


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(AmpOptimWrapper):
    """MMEngine's wrapper, for a CPU too, and with a loss scaler for float16 alone.

    bfloat16 has the range of float32, so that gradients need no scale. Trained weights, optimizer
    state, masks, cosines and losses are float32.

    Args:
        dtype: ``'bfloat16'`` or ``'float16'``; by default bfloat16, on a GPU that cannot compute it
            float16.
        loss_scale: For float16: ``'dynamic'``, a constant, or options of ``torch.amp.GradScaler``.
        **kwargs: Options of ``mmengine.optim.OptimWrapper``.

    Raises:
        ValueError: If ``dtype`` is another one, or the GPU cannot compute it.
    """

    def __init__(
        self,
        dtype: str | None = None,
        loss_scale: str | float | dict[str, Any] = 'dynamic',
        **kwargs: Any,
    ) -> None:
        # MMEngine's __init__ refuses a CPU and always scales.
        OptimWrapper.__init__(self, **kwargs)
        self._device = self.optimizer.param_groups[0]['params'][0].device.type
        able = self._device != 'cuda' or torch.cuda.is_bf16_supported(including_emulation=False)
        if dtype not in (None, *DTYPES):
            raise Refusal(f'optim_wrapper.dtype must be one of {", ".join(DTYPES)}, got {dtype!r}')
        if dtype == 'bfloat16' and not able:
            raise Refusal('this GPU cannot compute bfloat16: train with --amp float16')
        self.cast_dtype = getattr(torch, dtype or ('bfloat16' if able else 'float16'))
        scaled = self.cast_dtype == torch.float16
        options = loss_scale if isinstance(loss_scale, dict) else {}
        constant = loss_scale if isinstance(loss_scale, float) else None
        self._scale_update_param = constant
        if constant:
            options = dict(init_scale=constant)
        self.loss_scaler = torch.amp.GradScaler(self._device, enabled=scaled, **options)
        scaling = 'with' if scaled else 'without'
        print_log(f'mixed precision: {self.cast_dtype}, {scaling} a loss scaler', logger='current')

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the optimizer and the scale.

        A different precision is refused by the check of settings, whose message has the fix.
        """
        if not state_dict.get('loss_scaler'):
            state_dict.pop('loss_scaler', None)
        super().load_state_dict(state_dict)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in half precision, in the context of ``OptimWrapper``."""
        # MMEngine's autocast refuses float16 on a CPU.
        with (
            OptimWrapper.optim_context(self, model),
            torch.autocast(self._device, self.cast_dtype),
        ):
            yield
