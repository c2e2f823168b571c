"""Training steps that are not finite are left out; many in a row end the run."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import EMAHook, Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
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

    Weights, their moving average (``EMAHook``), the optimizer's state and the running statistics
    of normalisation layers stay unchanged; learning rates and epochs continue. With gradient
    accumulation one such loss leaves out the whole step. All processes decide the same, by one
    all-reduction a step. Each such step is logged and counted; the count is in the checkpoints.
    After ``patience`` of them in a row the run ends. Weights that are not finite are never saved.

    A loss scaler leaves out steps whose *scaled* gradients overflow in order to find its scale.
    They are not counted as long as the loss is finite and the scale is above 1.

    Args:
        patience: Steps in a row that end the run; a resumed run starts to count at 0. None: steps
            are not watched.

    Raises:
        Refusal: If ``patience`` is below 1.
    """

    # Runs before the hooks that average, log and save.
    priority = 'HIGH'

    def __init__(self, patience: int | None = 20) -> None:
        if patience is not None and patience < 1:
            raise Refusal(f'finite_steps.patience must be at least 1, got {patience}')
        self.patience = patience
        self._streak = 0
        self._wrapper: Any = None
        self._restart()

    def _restart(self) -> None:
        """Forget the step before."""
        self._images: list[str] = []
        self._losses_finite: list[Tensor] = []
        self._decided: tuple[bool, bool] | None = None
        self._statistics: list[tuple[Tensor, Tensor]] | None = None
        self._skipped = False

    def before_train(self, runner: Runner) -> None:
        """Watch the model's losses, and protect moving averages from steps that are left out."""
        if self.patience is None:
            return
        model: Any = bare(runner.model)
        model.register_forward_hook(self._after_forward)
        self._models = [model]
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                self._models.append(hook.ema_model)
                self._guard(hook.ema_model)

    def _guard(self, average: Any) -> None:
        update = average.update_parameters
        average.update_parameters = lambda model: None if self._skipped else update(model)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Mapping[str, Any] | None = None
    ) -> None:
        """Watch the optimizer, which changes with the stage.

        Raises:
            Refusal: If there are several optimizers.
        """
        if self.patience is None:
            return
        wrapper: Any = runner.optim_wrapper
        if wrapper is not self._wrapper:
            if not isinstance(wrapper, OptimWrapper) or isinstance(wrapper, OptimWrapperDict):
                raise Refusal(
                    f'the steps of a {type(wrapper).__name__} cannot be watched, as it has several '
                    'optimizers: set default_hooks.finite_steps.patience=None'
                )
            self._wrapper = wrapper
            wrapper.optimizer.register_step_pre_hook(self._before_step)
            self._restart()
        if self._statistics is None:
            self._skipped = False
            layers = (m for model in self._models for m in model.modules())
            buffers = (b for m in layers if hasattr(m, 'running_mean') for b in m.buffers(False))
            self._statistics = [(buffer, buffer.clone()) for buffer in buffers]
        scaler = getattr(wrapper, 'loss_scaler', None)
        self._scale = 1.0 if scaler is None else scaler.get_scale()
        self._images += _images(data_batch)

    def _after_forward(self, model: Any, inputs: Any, output: Any) -> None:
        if model.training and isinstance(output, Mapping):
            losses = [value for name, value in output.items() if 'loss' in name]
            parts = [p for v in losses for p in (v if isinstance(v, (list, tuple)) else [v])]
            self._losses_finite += [part.detach().isfinite().all() for part in parts]

    def _before_step(self, optimizer: torch.optim.Optimizer, *arguments: Any) -> None:
        """Remove the gradients of a step that is not finite, so that it changes nothing."""
        parameters = [p for group in optimizer.param_groups for p in group['params']]
        gradients = [p.grad for p in parameters if p.grad is not None]
        # The norm and not each value, because Adam's second moments square them.
        parts = torch._foreach_norm(gradients) if gradients else [torch.zeros(())]
        norm = torch.linalg.vector_norm(torch.stack(parts))
        self._decided = self._agree(norm.isfinite())
        if not all(self._decided):
            for parameter in parameters:
                parameter.grad = None

    def _agree(self, gradients: Tensor | None) -> tuple[bool, bool]:
        """Whether losses and gradients are finite in all processes; ``None`` is not finite."""
        losses = torch.stack(self._losses_finite).all()
        if gradients is None:
            gradients = losses.new_zeros(())
        flags = torch.stack([losses, gradients.to(losses.device)]).float()
        all_reduce(flags, 'min')
        losses_finite, finite = flags.bool().tolist()
        return losses_finite, finite

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Count a step that was left out.

        Raises:
            NotFiniteError: After ``patience`` of them in a row.
        """
        if self.patience is None or not self._wrapper.should_update():
            return
        # A loss scaler that has found an overflow does not call the optimizer.
        losses, gradients = self._decided or self._agree(None)
        self._skipped = not (losses and gradients)
        if self._skipped:
            for buffer, value in self._statistics or ():
                buffer.copy_(value)
        skipped, images = self._skipped, self._images
        counted = skipped and (not losses or self._scale <= 1)
        self._restart()
        self._skipped = skipped
        if counted:
            self._count(runner, outputs or {}, images)
        elif not skipped:
            self._streak = 0

    def _count(self, runner: Runner, losses: Mapping[str, Any], images: Sequence[str]) -> None:
        self._streak += 1
        hub = runner.message_hub
        hub.update_info(_SKIPPED, hub.get_info(_SKIPPED, 0) + 1)
        stage = hub.get_info('stage')
        where = f'step {runner.iter + 1}' + (f' (stage {stage})' if stage else '')
        what = ', '.join(f'{name} {value.item():.4g}' for name, value in losses.items())
        if images:
            what += f', images {name_some(images)}'
        runner.logger.warning(
            f'{where} is left out: its loss or gradients are not finite; {what}. '
            f'{self._streak} in a row, {hub.get_info(_SKIPPED)} in all'
        )
        if self._streak >= (self.patience or 0):
            rates = sorted({f'{group["lr"]:.3g}' for group in self._wrapper.param_groups})
            raise NotFiniteError(
                f'{self._streak} training steps in a row had a loss or gradients that are not '
                f'finite, the last one at {where}; {what}. They were left out, so weights and '
                f'checkpoints are good. Lower the learning rate (now {", ".join(rates)}), look at '
                'these images, or train with --amp bfloat16 or without --amp. '
                'default_hooks.finite_steps.patience sets the number of steps'
            )

    def after_train(self, runner: Runner) -> None:
        """Log how many steps a finished run has left out."""
        skipped = runner.message_hub.get_info(_SKIPPED, 0)
        if skipped:
            runner.logger.warning(
                f'{skipped} of {runner.max_iters} training steps were left out: loss or gradients '
                'were not finite'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Do not save weights that are not finite.

        Raises:
            NotFiniteError: If there are any; the message names them.
        """
        bad = [
            name
            for name, value in checkpoint['state_dict'].items()
            if value.is_floating_point() and not value.isfinite().all()
        ]
        if bad:
            raise NotFiniteError(
                f'weights are not finite and were not saved: {name_some(bad)}. Earlier '
                'checkpoints are good: resume from one of them with a lower learning rate'
            )


def _images(data_batch: Any) -> list[str]:
    """Paths of the images of a batch, if its samples have them."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    if not isinstance(samples, Sequence):
        return []
    paths = [sample.get('img_path') for sample in samples if hasattr(sample, 'get')]
    return [str(path) for path in paths if path is not None]
