"""Training steps of the stages (AdamW) and of the Segmenter (SGD): forward, backward, update."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from semples_mmseg.models import build_clip
from semples_mmseg.models.clip.image_head import CLIPImageHead
from semples_mmseg.models.clip.loading import untrained_clip
from semples_mmseg.models.stages import STAGES
from semples_mmseg.utils.files import read_json
from semples_mmseg.weights import resolve

from .models import CONFIGS, TOY_VIT, build, clip_file, clip_model, draw_batch, semples_config
from .setting import Setting, Side
from .textbook.stage_steps import TextbookSemPLeS

SMALL_CLIP = resolve('semples_mmseg::models/small_clip/small_clip.json')
CROSS_ENTROPY = dict(type='CrossEntropyLoss')
_PATCHWORK = 32
"""Side of the squares of one label in the random label maps of the Segmenter."""


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
    return torch.optim.AdamW([parameters[name] for name in trains], 6.4e-4, weight_decay=0.03)


class OurStep(Step):
    """A step of the package's segmentor in a stage."""

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
    """A step as published, with the weights of ``OurStep``; ``frozen``: CLIP gets no gradients."""

    def __init__(self, setting: Setting, stage: str, frozen: bool = False) -> None:
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
        model.clip.requires_grad_(not frozen)
        super().__init__(model, trains, _adamw(model, trains), setting.device == 'cuda')
        self.setting, self.stage = setting, stage
        side = ours.image_head.input_size[0]
        self.images, self.labels, _ = draw_batch(setting, ours.num_classes, side)

    def forward(self) -> tuple[dict[str, Tensor], object]:
        with self.setting.autocast(torch.float16):
            return self.model.losses(self.stage, self.images, self.labels)


class SmallCLIP(Side):
    """Features of a batch of images by the small CLIP, and the gradients of the images.

    ``streamline``: As of ``CLIPImageHead``; its weights get no gradients either way.
    """

    def __init__(self, setting: Setting, streamline: bool = True) -> None:
        torch.manual_seed(0)
        side = 32 if setting.toy else 176
        config = read_json(SMALL_CLIP)
        clip = untrained_clip({k: config[k] for k in ('embed_dim', 'vision_cfg', 'text_cfg')})
        head = CLIPImageHead(clip, streamline=streamline, input_size=side)
        self.head = head.eval().requires_grad_(False).to(setting.device)
        images = torch.randn(setting.batch, 3, side, side, device=setting.device)
        self.images = images.to(memory_format=torch.channels_last).requires_grad_()

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Features (B, D) and gradients of the shape of the images."""
        self.images.grad = None
        features = self.head(self.images)
        features[:, 0].sum().backward()
        return features, self.images.grad


class SegmenterStep(Step):
    """A step of the model in ``configs/segmenter`` with SGD.

    Args:
        setting: Sizes.
        loss: Config of the loss in the place of the gradient clipping loss.
    """

    def __init__(self, setting: Setting, loss: dict | None = None) -> None:
        config = Config.fromfile(CONFIGS / '_base_' / 'models' / 'segmenter_deit-s.py').model
        config.class_names = 'WeakVOCDataset'
        config.backbone.init_cfg = None
        side = 480
        if setting.toy:
            side, width = 64, TOY_VIT['embed_dims']
            config.backbone.update(arch=TOY_VIT, img_size=side)
            config.decode_head.update(in_channels=width, channels=width, embed_dims=width)
            config.decode_head.num_heads = TOY_VIT['num_heads']
            config.data_preprocessor.size = (side, side)
        if loss is not None:
            config.decode_head.loss_decode = loss
        model = build(config, setting)
        model.train()
        trains = [name for name, p in model.named_parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9, nesterov=True)
        super().__init__(model, trains, optimizer)
        self.setting = setting
        torch.manual_seed(3)
        self.images = torch.randn(setting.batch, 3, side, side, device=setting.device)
        squares = (side // _PATCHWORK,) * 2
        self.samples = []
        for coarse in torch.randint(model.num_classes, (setting.batch, *squares)):
            label = coarse.repeat_interleave(_PATCHWORK, 0).repeat_interleave(_PATCHWORK, 1)
            sample = SegDataSample()
            sample.gt_sem_seg = PixelData(data=label[None].to(setting.device))
            self.samples.append(sample)

    def forward(self) -> tuple[dict[str, Tensor], object]:
        with self.setting.autocast(torch.bfloat16):
            losses = self.model.loss(self.images, self.samples)
        return dict(loss=self.model.parse_losses(losses)[0]), None
