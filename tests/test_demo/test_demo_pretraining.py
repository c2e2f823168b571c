"""Training of the demo's two small models: data, losses, and that the seed decides everything."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from projects.demo_world.pretraining import backbone, clip, making
from semples_mmseg.demo.world import TAGS, captioned_scene, scene_rng


def test_token_rows_cover_prompts_and_captions() -> None:
    rows = clip.token_rows()
    assert rows == sorted(set(rows))
    assert {0, 320, 1125, 539, 13, 269, 49406, 49407} <= set(rows)
    tokens = clip.tokenize([f'{tag} on {tag} and a photo of {tag}.' for tag in TAGS], rows)
    expected = open_clip.tokenize([f'{tag} on {tag} and a photo of {tag}.' for tag in TAGS])
    assert torch.equal(torch.tensor(rows)[tokens], expected[:, : tokens.shape[1]])
    assert not expected[:, tokens.shape[1] :].any()


def test_short_text_encoding_is_open_clips() -> None:
    torch.manual_seed(0)
    rows = clip.token_rows()
    model = clip.build_model(len(rows)).eval()
    tokens = clip.tokenize(['a photo of boat.', 'cow on grass.'], rows)
    full = F.pad(tokens, (0, 77 - tokens.shape[1]))
    with torch.no_grad():
        expected = model.encode_text(full, normalize=True)
        assert torch.allclose(clip.encode_text(model, tokens), expected, atol=1e-6)


def test_clip_normalisation() -> None:
    image = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    expected = ((image.numpy() / 255.0 - mean) / std).transpose(0, 3, 1, 2)
    assert np.allclose(clip.normalise(image).numpy(), expected, atol=1e-5)


def test_backbone_normalisation() -> None:
    image = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    expected = (image.numpy() - np.array([123.675, 116.28, 103.53])) / np.array(
        [58.395, 57.12, 57.375]
    )
    assert np.allclose(backbone.normalise(image).numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_visible_parts_is_a_masked_sum() -> None:
    scenes = [captioned_scene(scene_rng(0, 'test', index)) for index in range(5)]
    regions = torch.from_numpy(np.stack([scene.regions for scene in scenes]))
    masks = torch.rand(regions.shape)
    frame, kept = clip.visible_parts(regions, masks)
    for i, scene in enumerate(scenes):
        for tag in range(len(TAGS)):
            inside = scene.regions == tag
            mass = masks[i].double().numpy()[inside].sum()
            assert frame[i, tag] == pytest.approx(mass / inside.size, abs=1e-6)
            assert kept[i, tag] == pytest.approx(mass / max(inside.sum(), 1), abs=1e-6)


def test_captions_name_what_is_visible() -> None:
    rng = np.random.default_rng(0)
    frame, kept = np.zeros(16), np.zeros(16)
    frame[[0, 6]], kept[[0, 6]] = (0.2, 0.5), (1.0, 1.0)
    said = {clip.caption(rng, frame, kept) for _ in range(60)}
    assert said == {'a photo of boat.', 'boat on water.'}
    kept[0] = 0.0
    assert {clip.caption(rng, frame, kept) for _ in range(30)} == {'a photo of water.', 'water.'}
    frame[1], kept[0], kept[1] = 0.2, 1.0, 1.0
    said = {clip.caption(rng, frame, kept) for _ in range(90)}
    assert {'boat and train.', 'train and boat.', 'train on water.'} <= said


def test_darkened_backgrounds_are_named_less() -> None:
    rng = np.random.default_rng(0)
    frame, kept = np.zeros(16), np.zeros(16)
    frame[[0, 6]], kept[[0, 6]] = (0.2, 0.2), (1.0, 0.25)
    said = [clip.caption(rng, frame, kept) for _ in range(400)]
    # named with chance 1.2 x 0.25, by three captions of four
    assert abs(np.mean(['water' in text for text in said]) - 0.3 * 0.75) < 0.07


def test_soft_masks() -> None:
    masks = clip.soft_masks(8, 64, torch.Generator().manual_seed(0))
    assert masks.shape == (8, 64, 64)
    assert masks.min() >= 0 and masks.max() <= 1
    assert torch.equal(masks.amin((1, 2)), torch.zeros(8))
    assert torch.allclose(masks.amax((1, 2)), torch.ones(8))
    assert masks.diff(dim=2).abs().max() < 0.6


def test_object_masks_cover_the_object() -> None:
    regions = torch.full((6, 64, 64), 7, dtype=torch.uint8)
    regions[:, 20:40, 20:40] = 2
    masks = clip.object_masks(regions, torch.Generator().manual_seed(1))
    assert (masks[:, 30, 30] == 1).all()
    assert not masks[:, :10].any()
    assert torch.equal(clip.object_masks(torch.full_like(regions, 9), torch.Generator()), masks * 0)


def test_contrastive_loss_counts_identical_captions_once() -> None:
    torch.manual_seed(0)
    image = F.normalize(torch.rand(5, 8, dtype=torch.float64) + 1, dim=1)
    text = F.normalize(torch.rand(3, 8, dtype=torch.float64) + 1, dim=1)
    target, scale = torch.tensor([0, 2, 0, 1, 2]), 10.0
    logits = scale * (image @ text.T).numpy()
    by_image = [np.log(np.exp(row).sum()) - row[t] for row, t in zip(logits, target, strict=True)]
    by_text = []
    for name in range(3):
        column = logits[:, name]
        own = [np.log(np.exp(column).sum()) - column[i] for i in range(5) if target[i] == name]
        by_text.append(np.mean(own))
    expected = (np.mean(by_image) + np.mean(by_text)) / 2
    loss = clip.contrastive_loss(image, text, target, torch.tensor(scale))
    assert loss.item() == pytest.approx(expected)


def test_paste() -> None:
    images = torch.arange(1.0, 11.0)[:, None, None, None].expand(10, 3, 64, 64)
    pasted, inside = backbone.paste(images, 32, torch.Generator().manual_seed(0))
    assert (images[:, 0, 0, 0] == torch.arange(1.0, 11.0)).all()
    for i in range(10):
        new = pasted[i, 0] != i + 1
        share = F.avg_pool2d(new.float()[None], 8).flatten()
        assert torch.allclose(share, inside[i])
        assert new.sum() in (0, 32 * 32)
        assert torch.allclose(pasted[i, 0][new], torch.tensor((i + 1.0) % 10 + 1))
    assert 0 < (inside.amax(1) > 0).sum() <= 10


def test_tag_loss() -> None:
    torch.manual_seed(0)
    token, patches = torch.randn(3, 16).double(), torch.randn(3, 64, 16).double()
    inside = torch.zeros(3, 64).double()
    inside[0, :20], inside[2, 5:9], inside[2, 9] = 1, 1, 0.25
    tags = (torch.rand(3, 16) < 0.3).double()

    def entropy(logits: np.ndarray, truth: np.ndarray) -> float:
        chance = 1 / (1 + np.exp(-logits))
        return -np.mean(truth * np.log(chance) + (1 - truth) * np.log(1 - chance))

    t, p, s, y = (value.numpy() for value in (token, patches, inside, tags))
    small = [y[1], y[2], y[0]]
    union = [np.maximum(y[0], small[0]), y[1], np.maximum(y[2], small[2])]
    whole = np.mean([entropy(t[i], union[i]) for i in range(3)])
    outer = np.mean(
        [entropy(((1 - s[i])[:, None] * p[i]).sum(0) / (1 - s[i]).sum(), y[i]) for i in range(3)]
    )
    inner = np.mean([entropy((s[i][:, None] * p[i]).sum(0) / s[i].sum(), small[i]) for i in (0, 2)])
    loss = backbone.tag_loss(token, patches, inside, tags)
    assert loss.item() == pytest.approx(whole + outer + inner)


def test_seed_decides_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, 'BATCH', 16)
    torch.manual_seed(11)
    first = clip.train_clip(3, scenes=16, steps=1).model.state_dict()
    torch.manual_seed(12)
    again = clip.train_clip(3, scenes=16, steps=1).model.state_dict()
    other = clip.train_clip(4, scenes=16, steps=1).model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first['visual.conv1.weight'], other['visual.conv1.weight'])


def test_seed_decides_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, 'BATCH', 10)
    torch.manual_seed(11)
    first = backbone.train_backbone(3, photos=10, epochs=1).state_dict()
    torch.manual_seed(12)
    again = backbone.train_backbone(3, photos=10, epochs=1).state_dict()
    other = backbone.train_backbone(4, photos=10, epochs=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first['backbone.pos_embed'], other['backbone.pos_embed'])


def test_making_writes_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip_checks = dict(clip_backgrounds=1.0, clip_cut_outs=0.5, clip_foreign=1.0)
    monkeypatch.setattr(clip, 'BATCH', 16)
    monkeypatch.setattr(backbone, 'BATCH', 10)
    monkeypatch.setattr(making, 'ProcessPoolExecutor', _InThisProcess)
    monkeypatch.setattr(making, 'check_tiny_clip', lambda *_: clip_checks)
    options = dict(scenes=16, steps=1), dict(photos=10, epochs=1)
    measured = making.make_demo_models(2, tmp_path / 'new', *options)
    names = {path.name for path in (tmp_path / 'new').iterdir()}
    assert names == {'demo_clip.safetensors', 'demo_backbone.safetensors', 'demo_models.json'}
    report = json.loads((tmp_path / 'new/demo_models.json').read_text())
    assert report['seed'] == 2
    assert report['checks']['clip_cut_outs'] == measured['clip_cut_outs'] == 0.5
    assert 0 <= report['checks']['tags_token'] <= 1
    with pytest.raises(ValueError, match='seed has to be >= 0'):
        making.make_demo_models(-1, tmp_path)


class _InThisProcess:
    """A process pool without processes."""

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __enter__(self) -> '_InThisProcess':
        return self

    def __exit__(self, *args: object) -> None: ...

    def submit(self, function, *args, **kwargs):  # type: ignore[no-untyped-def]
        value = function(*args, **kwargs)
        return type('Done', (), dict(result=staticmethod(lambda: value)))
