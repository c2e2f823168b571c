"""What a small CLIP knows: on photos left out, and on photos with tags and masks."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pictures import read_photo
from PIL import Image
from rich.progress import track
from table import Teacher
from torch import Tensor
from words import Word

from semples_mmseg.models.clip.text_head import CLIPTextHead


@torch.no_grad()
def check(
    clip: Any, features: Tensor, teacher: Teacher, table: Tensor, words: list[Word]
) -> dict[str, dict[str, float]]:
    """Agreement with the classifier on features (photos, 8, C) of photos left out, by group.

    ``whole`` and ``masked``: the classifier's shares of the nearest words by those of its own.
    ``order``: how often the two pictures of a mask have the classifier's order, for each word the
    twenty masks of pictures that show it most. ``lowest`` and ``highest`` cosine with a picture.
    ``sentence``: mean cosine of a word's sentence with the embedding that it was taught, ``own``:
    how often that is the nearest one.
    """
    texts = CLIPTextHead([word.text for word in words], clip, 'a photo of {}.').class_features
    rows = torch.tensor([word.concept for word in words])
    right = (texts @ table.T).argmax(-1) == rows
    found = {}
    for group in dict.fromkeys(word.group for word in words):
        chosen = [index for index, word in enumerate(words) if word.group == group]
        shares = teacher(features)[..., rows[chosen]]
        cosines = F.normalize(clip.visual.head(features), dim=-1) @ texts[chosen].T
        near = shares.gather(-1, cosines.argmax(-1, keepdim=True))[..., 0]
        most = shares.amax(-1)
        more, wanted = (some[:, 2::2] > some[:, 3::2] for some in (cosines, shares))
        shown = torch.maximum(shares[:, 2::2], shares[:, 3::2]).flatten(0, 1)
        top = shown.topk(min(20, len(shown)), dim=0).indices
        found[group] = dict(
            words=len(chosen),
            whole=near[:, 0].sum() / most[:, 0].sum(),
            masked=near[:, 2:].sum() / most[:, 2:].sum(),
            order=(more == wanted).float().flatten(0, 1).gather(0, top).mean(),
            lowest=cosines.min(),
            highest=cosines.max(),
            sentence=(texts * table[rows]).sum(-1)[chosen].mean(),
            own=right[chosen].float().mean(),
        )
    return {
        group: {k: round(float(v), 3) for k, v in some.items()} for group, some in found.items()
    }


@torch.inference_mode()
def evaluate(
    clip: Any, classifier: Any, teacher: Teacher, words: list[Word], folder: Path
) -> dict[str, dict[str, float]]:
    """Figures of the classifier and of the CLIP on photos with tags and masks.

    ``first``: in how many photos the first of all tagged words is one of the photo's tags.
    ``foreground``: in how many pairs of photo and tag the object without its background is nearer
    to the word than the background without the object.

    Args:
        folder: ``photos``; ``tags.csv`` (image,tag); ``masks``, PNGs of the photos' names, whose
            ids from 1 are in the order of the lines of ``classes.txt``.
    """
    classes = (folder / 'classes.txt').read_text(encoding='utf-8').splitlines()
    tags: dict[str, list[int]] = {}
    with open(folder / 'tags.csv', encoding='utf-8', newline='') as file:
        for line in csv.DictReader(file):
            tags.setdefault(line['image'], []).append(classes.index(line['tag']))
    used = sorted({tag for own in tags.values() for tag in own})
    place = {word.text: word.concept for word in words}
    texts = CLIPTextHead([classes[tag] for tag in used], clip, 'a photo of {}.').class_features
    size = clip.visual.image_size
    first, above = [], []
    for image, own in track(sorted(tags.items()), f'photos of {folder.name}'):
        pictures = [read_photo(folder / 'photos' / image, size)]
        with Image.open((folder / 'masks' / image).with_suffix('.png')) as mask:
            ids = torch.from_numpy(np.array(mask))
        shown = [tag for tag in own if (ids == tag + 1).sum() >= 50]
        for tag in shown:
            area = F.interpolate((ids == tag + 1).float()[None, None], size, mode='bilinear')[0]
            pictures += [pictures[0] * area, pictures[0] * (1 - area)]
        maps = classifier.forward_features(torch.stack(pictures))
        x = classifier.forward_head(maps, pre_logits=True)
        shares = teacher(x)[:, [place[classes[tag]] for tag in used]]
        both = torch.stack([shares, F.normalize(clip.visual.head(x), dim=-1) @ texts.T])
        first.append([used[row.argmax()] in own for row in both[:, 0]])
        for index, tag in enumerate(shown):
            front, back = both[:, 1 + 2 * index : 3 + 2 * index, used.index(tag)].unbind(1)
            above.append((front > back).tolist())
    counts = dict(photos=len(first), pairs=len(above), words=len(used))
    means = zip(('classifier', 'clip'), np.mean(first, 0), np.mean(above, 0), strict=True)
    return dict(
        counts, **{who: dict(first=round(a, 3), foreground=round(b, 3)) for who, a, b in means}
    )
