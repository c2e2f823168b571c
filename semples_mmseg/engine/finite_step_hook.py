"""Training steps that are not finite are left out; many in a row end the run."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from ..utils.errors import Refusal, RunError
from ..utils.lists import name_some
from .weights_file import bare

_SKIPPED = 'skipped_steps'


class NotFiniteError(RunError, ArithmeticError):
    """Losses, gradients or weights of a run are not finite."""


@HOOKS.register_module()
class FiniteStepHook(Hook):
    """Leave out training steps whose loss or gradients are not finite.

    Weights, their moving average (``EMAHook``), the optimizer's state and running statistics stay
    unchanged; learning rates and epochs continue. With gradient accumulation one such loss leaves
    out the whole step. All processes decide the same. Each such step is logged and counted, also in
    checkpoints, but not those that a loss scaler leaves out to find its scale (above 1). Weights
    that are not finite are never saved.

    Args:
        patience: Steps in a row that end the run. None: steps are not watched.
    """

    priority = 'HIGH'  # before the hooks that average, log and save

    def __init__(self, patience: int | None = 20) -> None:
        self.patience = patience
        self._streak = 0
        self._wrapper: Any = None
        self._skipped = False
        self._begin()

    def _begin(self) -> None:
        """Begin a step, of one batch or of several that are accumulated."""
        self._images: list[str] = []
        self._loss = torch.zeros(())
        self._finite: tuple[bool, bool] | None = None
        self._statistics: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        """Watch the model's losses, and protect moving averages from steps that are left out."""
        if not self.patience:
            return
        models = [bare(runner.model)]
        models[0].register_forward_hook(self._add_loss)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                models.append(hook.ema_model)
                self._guard(hook.ema_model)
        layers = [layer for model in models for layer in model.modules()]
        layers = [layer for layer in layers if hasattr(layer, 'running_mean')]
        self._buffers = [buffer for layer in layers for buffer in layer.buffers(recurse=False)]

    def _guard(self, average: Any) -> None:
        update = average.update_parameters
        average.update_parameters = lambda model: None if self._skipped else update(model)

    def _add_loss(self, model: Any, inputs: Any, output: Any) -> None:
        if model.training and isinstance(output, Mapping):
            loss, _ = model.parse_losses(output)
            self._loss = self._loss + loss.detach()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Mapping[str, Any] | None = None
    ) -> None:
        """Watch the optimizer, which changes with the stage; several are refused."""
        if not self.patience:
            return
        wrapper: Any = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict):
            raise Refusal(
                'the steps of several optimizers (OptimWrapperDict) cannot be watched: set '
                'default_hooks.finite_steps.patience=None'
            )
        if wrapper is not self._wrapper:
            self._wrapper = wrapper
            wrapper.optimizer.register_step_pre_hook(self._before_step)
        self._skipped = False
        self._statistics = self._statistics or [buffer.clone() for buffer in self._buffers]
        samples = (data_batch or {}).get('data_samples') or []
        self._images += [s.img_path for s in samples if getattr(s, 'img_path', None)]

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Remove the gradients of a step that is not finite, so that it changes nothing."""
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        gradients = [p.grad for p in parameters if p.grad is not None]
        # The norm and not each value, because Adam's second moments square them.
        self._finite = self._agree(torch.nn.utils.get_total_norm(gradients))
        if not all(self._finite):
            optimizer.zero_grad()

    def _agree(self, norm: Tensor) -> tuple[bool, bool]:
        """Whether loss and gradients are finite in all processes."""
        finite = torch.stack([self._loss, norm.to(self._loss)]).isfinite().float()
        all_reduce(finite, 'min')
        loss, gradients = finite.bool().tolist()
        return loss, gradients

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Count a step that was left out; ``patience`` of them in a row raise NotFiniteError."""
        if not self.patience or not self._wrapper.should_update():
            return
        # A loss scaler that has found an overflow does not call the optimizer.
        loss, gradients = self._finite or self._agree(self._loss * torch.nan)
        self._skipped = not (loss and gradients)
        if not self._skipped:
            self._streak = 0
        else:
            for buffer, value in zip(self._buffers, self._statistics, strict=True):
                buffer.copy_(value)
            if not loss or not self._finds_scale():
                self._count(runner, outputs or {})
        self._begin()

    def _finds_scale(self) -> bool:
        """Whether a loss scaler has left the step out, which has halved a scale above 1."""
        scaler = getattr(self._wrapper, 'loss_scaler', None)
        return scaler is not None and scaler.is_enabled() and scaler.get_scale() >= 1

    def _count(self, runner: Runner, losses: Mapping[str, Any]) -> None:
        self._streak += 1
        hub = runner.message_hub
        hub.update_info(_SKIPPED, hub.get_info(_SKIPPED, 0) + 1)
        stage = hub.get_info('stage')
        where = f'step {runner.iter + 1}' + (f' (stage {stage})' if stage else '')
        what = ', '.join(f'{name} {value.item():.4g}' for name, value in losses.items())
        what += f', images {name_some(self._images)}' if self._images else ''
        runner.logger.warning(
            f'{where} is left out: its loss or gradients are not finite; {what}. '
            f'{self._streak} in a row, {hub.get_info(_SKIPPED)} in all'
        )
        if self._streak >= (self.patience or 0):
            raise NotFiniteError(
                f'{self._streak} training steps in a row had a loss or gradients that are not '
                f'finite, the last one at {where}; {what}. Weights are good: '
                'lower the learning rate, look at these images, or train with --amp bfloat16 or '
                'without --amp (default_hooks.finite_steps.patience sets the number of steps)'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Do not save weights that are not finite."""
        tensors = checkpoint['state_dict'].items()
        bad = [key for key, v in tensors if v.is_floating_point() and not v.isfinite().all()]
        if bad:
            raise NotFiniteError(
                f'weights are not finite and were not saved: {name_some(bad)}. Earlier '
                'checkpoints are good: resume from one of them with a lower learning rate'
            )
