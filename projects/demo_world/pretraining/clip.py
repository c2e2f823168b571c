"""Training of the demo's tiny CLIP on captioned scenes.

It takes the place of OpenAI's CLIP. Objects and backgrounds are nearly independent in its scenes,
so that it learns to tell them apart. Captions name what a mask leaves visible.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor, nn
from tqdm import tqdm

from pretraining.scenes import captioned_scene
from semples_mmseg.demo.models import CLIP_CONFIG, FOLDER
from semples_mmseg.demo.world import OBJECTS, PLAIN, TAGS
from semples_mmseg.demo.world.scenes import Scene, scene_rng
from semples_mmseg.utils.files import read_json

SCENES = 6000
STEPS = 1000
BATCH = 96
LEARNING_RATE = 2e-3
WARM_UP = 100
WEIGHT_DECAY = 0.05
DOT, WORD_FINAL_DOT = 13, 269
"""Token ids of the full stop: in learned prompts, and at the end of a word in other text."""


class TinyClip(NamedTuple):
    """A trained tiny CLIP.

    Attributes:
        model: open_clip model in eval mode whose token table has only the rows in use.
        rows: Ascending token ids of that table's rows.
    """

    model: open_clip.CLIP
    rows: list[int]


def normalise(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) RGB -> float32 (B, 3, H, W), normalised with CLIP's mean and std."""
    mean, std = (torch.tensor(value) for value in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return ((images / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


@functools.cache
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


def token_rows() -> list[int]:
    """Ids of all tokens of the captions, and what prompts need: padding, start, end, both dots."""
    words = ' '.join(('a photo of on and', *TAGS))
    tokenizer = _tokenizer()
    special = {0, tokenizer.sot_token_id, tokenizer.eot_token_id, DOT, WORD_FINAL_DOT}
    return sorted(special | set(tokenizer.encode(words)))


def build_model(vocab_size: int | None = None) -> open_clip.CLIP:
    """The tiny CLIP with random weights; its token table has 49408 rows unless given."""
    config = read_json(FOLDER / CLIP_CONFIG)
    if vocab_size is not None:
        config['text_cfg']['vocab_size'] = vocab_size
    return open_clip.CLIP(**config)


def tokenize(captions: list[str], rows: list[int]) -> Tensor:
    """Captions -> int64 (n, longest) row numbers, zero-padded, start and end tokens included."""
    tokens = _tokenizer()(captions, context_length=77)
    tokens = tokens[:, : int(tokens.argmax(1).max()) + 1].contiguous()
    return torch.searchsorted(torch.tensor(rows), tokens)


def encode_text(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """Unit text features (n, 64) like ``open_clip``'s, without the positions after the end."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    end = tokens.argmax(1)
    return F.normalize(x[torch.arange(len(x)), end] @ model.text_projection, dim=1)


def soft_masks(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Smooth random masks (count, size, size) in [0, 1] like the masks of the method.

    Noise on a grid of 3 to 8 cells, resized bilinearly, min-max normalised, some sharpened.
    """
    masks = []
    for _ in range(count):
        cells = int(torch.randint(3, 9, (), generator=generator))
        noise = torch.rand(1, 1, cells, cells, generator=generator)
        masks.append(F.interpolate(noise, (size, size), mode='bilinear', align_corners=True)[0, 0])
    mask = torch.stack(masks)
    low, high = mask.amin((1, 2), True), mask.amax((1, 2), True)
    contrast = 1 + 3 * torch.rand(count, 1, 1, generator=generator)
    return ((mask - low) / (high - low) * contrast - (contrast - 1) / 2).clamp(0, 1)


def object_masks(regions: Tensor, generator: torch.Generator) -> Tensor:
    """Coarse masks of the objects of ``regions`` (n, H, W): dilated by 0 to 4 pixels, half blurred.

    Returns:
        float32 (n, H, W) in [0, 1].
    """
    grown = []
    for inside in (regions < len(OBJECTS)).float():
        reach = int(torch.randint(0, 5, (), generator=generator))
        mask = F.max_pool2d(inside[None], 2 * reach + 1, 1, reach)
        if torch.rand((), generator=generator) < 0.5:
            mask = F.avg_pool2d(mask, 7, 1, 3, count_include_pad=False)
        grown.append(mask[0])
    return torch.stack(grown)


def visible_parts(regions: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Compute what a mask leaves of every tag, as a share of the frame and of the tag's area.

    Args:
        regions: uint8 (n, H, W).
        masks: float32 (n, H, W) in [0, 1].

    Returns:
        Two float32 (n, 16).
    """
    count, bins = len(regions), PLAIN + 1
    index = regions.long() + bins * torch.arange(count)[:, None, None]
    area = torch.bincount(index.flatten(), minlength=count * bins)
    mass = torch.bincount(index.flatten(), masks.double().flatten(), minlength=count * bins)
    pixels = regions[0].numel()
    return (
        (mass / pixels).view(count, bins)[:, :PLAIN].float(),
        (mass / area.clamp(min=1)).view(count, bins)[:, :PLAIN].float(),
    )


def caption(rng: np.random.Generator, frame: np.ndarray, kept: np.ndarray) -> str:
    """Name what is visible: "X on B.", "a photo of X.", "X and Y.", "a photo of B."...

    The darker a thing is, the less often it is named, so that similarity falls gradually with
    brightness: a mask that leaks a background shows it at less than half of its brightness.

    Args:
        rng: Random generator.
        frame: (16,) visible share of the frame of each tag.
        kept: (16,) visible share of each tag's area.
    """
    is_thing = np.arange(len(TAGS)) < len(OBJECTS)
    noticed = rng.random(len(TAGS)) < kept * np.where(is_thing, 2.0, 1.2)
    seen = np.flatnonzero(noticed & (kept > 0.03) & (frame >= np.where(is_thing, 0.005, 0.02)))
    if not len(seen):
        seen = np.array([frame.argmax()])
    things = [TAGS[i] for i in rng.permutation(seen[seen < len(OBJECTS)])]
    places = [TAGS[i] for i in rng.permutation(seen[seen >= len(OBJECTS)])]
    if things and places:
        choices = 3 * [f'{things[0]} on {places[0]}.'] + [f'a photo of {things[0]}.']
        choices += [f'{things[0]} and {things[1]}.'] if len(things) > 1 else []
    else:
        named = things or places
        choices = [f'a photo of {named[0]}.', f'{named[0]}.']
        choices += 2 * [f'{named[0]} and {named[1]}.'] if len(named) > 1 else []
    return str(rng.choice(choices))


def _batches(scenes: list[Scene], seed: int) -> Iterator[tuple[Tensor, list[str]]]:
    """Endless batches of normalised, partly masked images (96, 3, 64, 64) and their captions."""
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    regions = torch.from_numpy(np.stack([scene.regions for scene in scenes]))
    with_object = torch.tensor([bool(scene.objects) for scene in scenes])
    generator = torch.Generator().manual_seed(seed)
    rng = scene_rng(seed, 'captions', 0)
    while True:
        order = torch.randperm(len(scenes), generator=generator)
        for index in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
            flip = bool(torch.rand((), generator=generator) < 0.5)
            x, parts = normalise(images[index]), regions[index]
            if flip:
                x, parts = x.flip(3), parts.flip(2)
            mask = torch.ones(parts.shape)
            half, eighth = BATCH // 2, BATCH // 8
            mask[:half] = soft_masks(half, parts.shape[1], generator)
            inside = object_masks(parts[half : half + 2 * eighth], generator)
            inside[eighth:] = 1 - inside[eighth:]
            # A cut-out of a scene without objects would be empty: such scenes stay whole.
            usable = with_object[index[half : half + 2 * eighth], None, None]
            mask[half : half + 2 * eighth] = torch.where(usable, inside, 1.0)
            frame, kept = (part.numpy() for part in visible_parts(parts, mask))
            yield x * mask[:, None], [caption(rng, f, k) for f, k in zip(frame, kept, strict=True)]


def contrastive_loss(image: Tensor, text: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """CLIP's symmetric loss, with identical captions treated as one text.

    Args:
        image: Unit features (B, C).
        text: Unit features of the U different captions (U, C).
        target: int64 (B,), the caption of every image.
        scale: Factor on the cosines.
    """
    logits = scale * image @ text.T
    owned = F.one_hot(target, len(text)).T.to(logits)
    to_image = -(owned * logits.T.log_softmax(1)).sum(1) / owned.sum(1)
    return (F.cross_entropy(logits, target) + to_image.mean()) / 2


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    groups = [
        dict(params=[p for p in model.parameters() if p.ndim > 1], weight_decay=WEIGHT_DECAY),
        dict(params=[p for p in model.parameters() if p.ndim <= 1], weight_decay=0.0),
    ]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), eps=1e-6)


def train_clip(seed: int, scenes: int = SCENES, steps: int = STEPS) -> TinyClip:
    """Train a tiny CLIP in ``steps`` of 96 images; ``seed`` decides data, weights and order."""
    drawn = [
        captioned_scene(scene_rng(seed, 'captioned', index))
        for index in tqdm(range(scenes), 'captioned scenes', position=1)
    ]
    rows = token_rows()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(len(rows))
    optimizer = _optimizer(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / steps))),
    )
    batches = _batches(drawn, seed)
    model.train()
    for _ in tqdm(range(steps), 'tiny CLIP', position=1):
        images, captions = next(batches)
        names = sorted(set(captions))
        target = torch.tensor([names.index(c) for c in captions])
        tokens = tokenize(names, rows)
        # Half of the full stops are the one that learned prompts end with.
        swap = (tokens == rows.index(WORD_FINAL_DOT)) & (torch.arange(len(names)) % 2 == 0)[:, None]
        tokens[swap] = rows.index(DOT)
        loss = contrastive_loss(
            F.normalize(model.encode_image(images), dim=1),
            encode_text(model, tokens),
            target,
            model.logit_scale.exp(),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=np.log(100))
    return TinyClip(model.eval().requires_grad_(False), rows)
