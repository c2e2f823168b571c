"""Training steps of the stages: forward, backward, AdamW."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semples_mmseg.models import build_clip
from semples_mmseg.models.stages import STAGES

from .models import build, clip_file, clip_model, draw_batch, semples_config
from .setting import Setting, Side
from .textbook.stage_steps import TextbookSemPLeS

LEARNING_RATE, WEIGHT_DECAY = 6.4e-4, 0.03


class Step(Side):
    """A training step on one batch, over and over.

    Args:
        model: Its parameters get gradients as they ask for them.
        trains: Names of those that the optimizer steps.
        optimizer: Over them.
        loss_scaling: Whether the loss is scaled, for float16.
    """

    def __init__(
        self,
        model: nn.Module,
        trains: list[str],
        optimizer: torch.optim.Optimizer,
        loss_scaling: bool = False,
    ) -> None:
        self.model, self.trains, self.optimizer = model, trains, optimizer
        self.scaler = torch.amp.GradScaler(enabled=loss_scaling)

    def forward(self) -> tuple[dict[str, Tensor], object]:
        """The losses, and what else lives as long as the step."""
        raise NotImplementedError

    def __call__(self) -> None:
        """Take a step."""
        losses, _kept = self.forward()
        self.scaler.scale(sum(losses.values())).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.model.zero_grad()

    def losses_and_gradients(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Losses by name, and the gradients of what trains, without taking the step."""
        losses, _kept = self.forward()
        sum(losses.values()).backward()
        parameters = dict(self.model.named_parameters())
        gradients = {name: parameters[name].grad.clone() for name in self.trains}
        self.model.zero_grad()
        return {name: value.detach() for name, value in losses.items()}, gradients


def _adamw(model: nn.Module, trains: list[str]) -> torch.optim.Optimizer:
    parameters = dict(model.named_parameters())
    return torch.optim.AdamW(
        [parameters[name] for name in trains], LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )


class OurStep(Step):
    """A step of the package's segmentor.

    Args:
        setting: Sizes.
        stage: Its name.
    """

    def __init__(self, setting: Setting, stage: str) -> None:
        model = build(semples_config(setting), setting)
        model.set_stage(STAGES[stage])
        model.train()
        trains = [name for name, p in model.named_parameters() if p.requires_grad]
        super().__init__(model, trains, _adamw(model, trains))
        self.setting = setting
        side = setting.side or model.image_head.input_size[0]
        self.images, _, self.samples = draw_batch(setting, model.num_classes, side)

    def forward(self) -> tuple[dict[str, Tensor], object]:
        with self.setting.autocast(torch.bfloat16):
            return self.model.loss(self.images, self.samples), None


class TextbookStep(Step):
    """A step as published, with the weights of ``OurStep``."""

    def __init__(self, setting: Setting, stage: str) -> None:
        config = semples_config(setting)
        ours = build(config, setting)
        ours.set_stage(STAGES[stage])
        trains = [name for name, p in ours.named_parameters() if p.requires_grad]
        clip = build_clip(clip_model(setting), str(clip_file(setting)), quick_gelu=True)
        model = TextbookSemPLeS(
            ours.mask_generator,
            ours.prompt_learner.prompts,
            clip,
            ours.text_head.class_names,
            config.losses.match.background_weight,
            config.losses.prompt.text_weight,
            config.losses.refine.weight,
        ).to(setting.device)
        model.mask_generator.train(stage != 'prompt')
        super().__init__(model, trains, _adamw(model, trains), setting.device == 'cuda')
        self.setting, self.stage = setting, stage
        side = ours.image_head.input_size[0]
        self.images, self.labels, _ = draw_batch(setting, ours.num_classes, side)

    def forward(self) -> tuple[dict[str, Tensor], object]:
        with self.setting.autocast(torch.float16):
            return self.model.losses(self.stage, self.images, self.labels)
