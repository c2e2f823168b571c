"""The shipped models know what the demo needs, on scenes no pretraining has drawn."""

import json

import numpy as np
import open_clip
import torch
from mmpretrain.models.backbones import VisionTransformer
from pretraining import backbone, clip
from pretraining.checks import GOALS, check_clip
from pretraining.scenes import photo
from safetensors.torch import load_file

from semples_mmseg.demo import models
from semples_mmseg.demo.world import TAGS
from semples_mmseg.demo.world.scenes import scene_rng
from semples_mmseg.models.clip.loading import build_clip

SEED = 987_654
DEMO_CLIP = [str(models.FOLDER / name) for name in (models.CLIP_CONFIG, models.CLIP_FILE)]


def test_shipped_files_are_small():
    names = (models.CLIP_FILE, models.BACKBONE_FILE)
    assert sum((models.FOLDER / name).stat().st_size for name in names) < 5e6
    report = json.loads((models.FOLDER / models.REPORT_FILE).read_text())
    assert report['seed'] == 0
    rows = load_file(models.FOLDER / models.CLIP_FILE)['token_embedding.rows']
    assert rows.tolist() == clip.token_rows()
    assert set(report['checks']) == set(GOALS)


def test_clip_zero_shot():
    """Through open_clip's own model, tokenizer and text encoding."""
    model = build_clip(*DEMO_CLIP)
    with torch.no_grad():
        sentences = open_clip.tokenize([f'a photo of {tag}.' for tag in TAGS])
        text = model.encode_text(sentences, normalize=True)
    measured = check_clip(model.encode_image, text, SEED, count=120)
    assert measured['clip_backgrounds'] >= 0.98
    assert measured['clip_cut_outs'] >= 0.95
    assert measured['clip_foreign'] >= 0.9


def test_backbone_tells_tags_apart():
    """Tags read linearly off the class token of a plain MMPretrain model."""
    state = load_file(models.FOLDER / models.BACKBONE_FILE)
    model = VisionTransformer(
        arch=backbone.ARCH,
        img_size=64,
        patch_size=8,
        out_type='cls_token',
        patch_cfg=dict(conv_type='mmseg.ConvStem', padding=0),
    )
    model.eval()  # MMPretrain's returns nothing
    model.load_state_dict({name: value.float() for name, value in state.items()})
    scenes = [photo(scene_rng(SEED, 'photo', index)) for index in range(400)]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    tags = torch.from_numpy(np.stack([backbone.scene_tags(scene) for scene in scenes]))
    with torch.no_grad():
        features = model(backbone.normalise(images))[0]
    features = torch.cat([features, torch.ones(len(features), 1)], 1)
    solution = torch.linalg.lstsq(features[:300], tags[:300]).solution
    right = ((features[300:] @ solution > 0.5) == tags[300:].bool()).float().mean()
    assert right > 0.93  # answering "no" to everything is right 85 % of the time
