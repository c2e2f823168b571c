"""Training of the demo's backbones on tagged photos.

They take the place of ImageNet checkpoints: a vision transformer with one class token and
MMPretrain's key names, loaded like DeiT, and a ResNet for the study. Their photos show one large
object on an independent background; half of the training is to tell a photo's patches from those
of another photo pasted into it.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpretrain.models.backbones import VisionTransformer
from mmseg.registry import MODELS
from torch import Tensor, nn
from tqdm import tqdm

from pretraining.scenes import photo
from semples_mmseg.demo.world import PLAIN, SIZE, TAGS
from semples_mmseg.demo.world.scenes import Scene, scene_rng

ARCH = dict(embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=256)
RESNET_CONFIG = Path(__file__).parents[1] / 'configs/cam_resnet18.py'
RESNET_FILE = 'demo_resnet.safetensors'
PATCH = 8
PHOTOS = 8000
EPOCHS = 30
BATCH = 100
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
WARM_UP = 80
PASTED = 0.8
"""Probability that another photo is pasted into a photo."""

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""ImageNet's, RGB."""


class TaggedViT(nn.Module):
    """The backbone with one linear tag classifier for the class token and one for patches.

    Shape:
        Images (B, 3, 64, 64), normalised -> class token logits (B, 16) and patch logits
        (B, 64, 16).
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = VisionTransformer(
            arch=ARCH,
            img_size=SIZE,
            patch_size=PATCH,
            out_type='raw',
            patch_cfg=dict(conv_type='mmseg.ConvStem', padding=0),
        )
        self.token_head = nn.Linear(ARCH['embed_dims'], len(TAGS))
        self.patch_head = nn.Linear(ARCH['embed_dims'], len(TAGS))
        for parameter in (self.backbone.cls_token, self.backbone.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.backbone(images)[0]
        return self.token_head(tokens[:, 0]), self.patch_head(tokens[:, 1:])


class TaggedResNet(nn.Module):
    """The study's ResNet in the place of the transformer; the mean of its map is the class token.

    Shape:
        As ``TaggedViT``.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = Config.fromfile(RESNET_CONFIG).model.mask_generator
        self.backbone = MODELS.build(dict(generator.backbone, init_cfg=None))
        self.token_head = nn.Linear(generator.in_channels, len(TAGS))
        self.patch_head = nn.Linear(generator.in_channels, len(TAGS))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.backbone(images)[0].flatten(2).transpose(1, 2)
        return self.token_head(tokens.mean(1)), self.patch_head(tokens)


def normalise(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) RGB -> float32 (B, 3, H, W), normalised with ImageNet's mean and std."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return ((images - mean) / std).permute(0, 3, 1, 2).contiguous()


def scene_tags(scene: Scene) -> np.ndarray:
    """float32 (16,) multi-hot tags of everything that covers at least 1 % of the scene."""
    counts = np.bincount(scene.regions.ravel(), minlength=PLAIN + 1)[:PLAIN]
    return (counts >= 0.01 * scene.regions.size).astype(np.float32)


def paste(images: Tensor, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Paste the next photo of the batch, reduced to ``side`` pixels, into most photos.

    Returns:
        The new photos (B, 3, 64, 64), and the pasted share of every patch, (B, 64) in [0, 1].
    """
    small = F.interpolate(
        images.roll(-1, 0), (side, side), mode='bilinear', antialias=True, align_corners=False
    )
    places = torch.randint(0, SIZE - side + 1, (len(images), 2), generator=generator).tolist()
    chosen = (torch.rand(len(images), generator=generator) < PASTED).tolist()
    images = images.clone()
    inside = images.new_zeros(len(images), 1, SIZE, SIZE)
    for index, ((top, left), use) in enumerate(zip(places, chosen, strict=True)):
        if use:
            images[index, :, top : top + side, left : left + side] = small[index]
            inside[index, :, top : top + side, left : left + side] = 1
    return images, F.avg_pool2d(inside, PATCH).flatten(1)


def tag_loss(token: Tensor, patches: Tensor, inside: Tensor, tags: Tensor) -> Tensor:
    """Classify the tags of both photos by the class token, the tags of each photo by its patches.

    Args:
        token: Logits (B, 16).
        patches: Logits (B, 64, 16).
        inside: (B, 64), the share of each patch that belongs to the pasted photo.
        tags: (B, 16) of the big photos; the pasted one is the next in the batch.
    """
    pasted = tags.roll(-1, 0)
    used = (inside.amax(1, keepdim=True) > 0).to(inside)
    loss = F.binary_cross_entropy_with_logits(token, torch.maximum(tags, used * pasted))
    whole = torch.ones_like(used)
    for share, target, weight in ((1 - inside, tags, whole), (inside, pasted, used)):
        logits = (share[..., None] * patches).sum(1) / share.sum(1, keepdim=True).clamp(min=1e-6)
        each = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        loss = loss + (weight * each).mean() / weight.mean().clamp(min=1e-6)
    return loss


def train_backbone(
    seed: int,
    kind: type[nn.Module] = TaggedViT,
    photos: int = PHOTOS,
    epochs: int = EPOCHS,
) -> nn.Module:
    """Train a backbone; ``seed`` decides data, initial weights and order."""
    drawn = [
        photo(scene_rng(seed, 'photo', index))
        for index in tqdm(range(photos), 'tagged photos', position=0)
    ]
    images = torch.from_numpy(np.stack([scene.image for scene in drawn]))
    tags = torch.from_numpy(np.stack([scene_tags(scene) for scene in drawn]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(
        [
            dict(params=[p for p in model.parameters() if p.ndim > 1], weight_decay=WEIGHT_DECAY),
            dict(params=[p for p in model.parameters() if p.ndim <= 1], weight_decay=0.0),
        ],
        lr=LEARNING_RATE,
    )
    order = torch.cat(
        [
            torch.randperm(photos, generator=generator)[: photos // BATCH * BATCH].view(-1, BATCH)
            for _ in range(epochs)
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / len(order)))),
    )
    model.train()
    for index in tqdm(order, 'backbone', position=0):
        x = normalise(images[index])
        if torch.rand((), generator=generator) < 0.5:
            x = x.flip(3)
        side = int(torch.randint(24, 49, (), generator=generator))
        x, inside = paste(x, side, generator)
        token, patches = model(x)
        loss = tag_loss(token, patches, inside, tags[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)
