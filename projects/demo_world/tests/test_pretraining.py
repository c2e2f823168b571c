"""Pretraining of the demo's models, and the study."""

import functools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import make_models
import numpy as np
import open_clip
import pytest
import study
import study_table
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from pretraining import backbone, clip
from pretraining.scenes import captioned_scene

from semples_mmseg import register_components
from semples_mmseg.demo.models import FOLDER
from semples_mmseg.demo.world import HABITATS, TAGS
from semples_mmseg.demo.world.scenes import scene_rng
from semples_mmseg.engine.stage_plan import StagePlan


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


def test_seed_decides_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, 'BATCH', 16)
    monkeypatch.setattr(backbone, 'BATCH', 10)
    for train in (
        lambda seed: clip.train_clip(seed, scenes=16, steps=1).model,
        lambda seed: backbone.train_backbone(seed, photos=10, epochs=1),
    ):
        one, again, other = (train(seed).state_dict() for seed in (3, 3, 4))
        assert all(torch.equal(one[name], again[name]) for name in one)
        assert any(not torch.equal(one[name], other[name]) for name in one)


def test_models_are_written_with_their_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, 'BATCH', 16)
    monkeypatch.setattr(backbone, 'BATCH', 10)
    short = functools.partial
    monkeypatch.setattr(make_models, 'train_clip', short(clip.train_clip, scenes=16, steps=1))
    monkeypatch.setattr(
        make_models,
        'train_backbone',
        lambda seed, *kind, epochs=1: backbone.train_backbone(seed, *kind, photos=10, epochs=1),
    )
    # Threads, because processes would import the modules anew, without these changes.
    monkeypatch.setattr(
        make_models, 'ProcessPoolExecutor', lambda *_, **__: ThreadPoolExecutor(max_workers=1)
    )
    make_models.make_models(2, tmp_path / 'new')
    names = {path.name for path in (tmp_path / 'new').iterdir()}
    assert names == {
        'demo_clip.safetensors',
        'demo_backbone.safetensors',
        'demo_resnet.safetensors',
        'demo_models.json',
    }
    report = json.loads((tmp_path / 'new/demo_models.json').read_text())
    assert report['seed'] == 2
    assert all(0 <= value <= 1 for value in report['checks'].values())
    with pytest.raises(ValueError, match='--seed'):
        make_models.make_models(-1, tmp_path)


def test_table_of_the_study(tmp_path: Path) -> None:
    """Means, spreads and paired differences with Student's interval; text around it stays."""

    def cell(full: float, joint: float) -> dict[str, Any]:
        seeds = {
            row: dict(train=dict(seed_mIoU=value), val=dict(seed_mIoU=40.0))
            for row, value in ((study.FULL, full), ('joint', joint))
        }
        return dict(seeds=seeds, segmenter=dict(mIoU=60.0), nearest_words=list(HABITATS))

    path = tmp_path / 'page.md'
    path.write_text('before\n<!-- study: begin -->\nold\n<!-- study: end -->\nafter\n')
    study_table.write_table(dict(one=cell(50.0, 48.0), two=cell(52.0, 51.0)), path)
    text = path.read_text()
    assert text.startswith('before\n') and text.endswith('after\n') and 'old' not in text
    assert f'| {study.FULL} | 2 | 51.0 ± 1.4 | 40.0 ± 0.0 |  |' in text
    # The differences are -2 and -1: mean -1.5, standard error 0.5, t(0.975, 1) = 12.706.
    assert '| joint | 2 | 49.5 ± 2.1 | 40.0 ± 0.0 | -1.5 [-7.9, +4.9] |' in text
    assert '| Segmenter, mIoU | 2 | | 60.0 ± 0.0 | |' in text
    assert 'Of 6 prompts 6.0 (lowest 6)' in text


@pytest.mark.parametrize('name', study.TRAININGS)
def test_trainings_of_the_study_build(name: str, tmp_path: Path) -> None:
    """Every config of the study makes a model, whose rows are files that its stages leave."""
    training = study.TRAININGS[name]
    cell = study.Cell(Path(__file__).parents[3], tmp_path, FOLDER, tmp_path / 'data', 0)
    config = cell._config(training, name)
    register_components()
    init_default_scope('mmseg')
    MODELS.build(config.model)
    plan = StagePlan([dict(name=stage, epochs=1) for stage in training.stages])
    left = {plan.file_name(index).removesuffix('.pth') for index in range(len(plan.specs))}
    assert set(training.rows.values()) <= left
