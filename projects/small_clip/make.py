"""Make the small CLIP from an ImageNet classifier, WordNet and photos without labels.

python projects/small_clip/make.py --photos FOLDER --wordnet FOLDER --out work_dirs/small_clip
"""

import argparse
import json
import time
from pathlib import Path

import open_clip
import timm
import torch
from checks import check, evaluate
from pictures import MEAN, STD, compute_features
from sentences import Reader, teach_sentences, used_tokens
from table import Teacher, teach_table
from words import concepts, read_words

from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.models.clip.loading import build_clip, save_small_clip, untrained_clip
from semples_mmseg.photos.configs import LITE
from semples_mmseg.utils.io import write_json
from semples_mmseg.weights import read_weights

MODEL, SIZE = 'tf_efficientnet_lite0', 224
"""Name in timm of the image tower, and the side of its images."""
DIMS, STEPS = 240, (1200, 1500)
"""Dimensions of the embeddings; steps of the two halves of the training."""
TEXT = dict(context_length=40, width=256, heads=4, layers=2, mlp_ratio=4.0)
VISION = dict(timm_model_name=MODEL, timm_pool='avg', timm_proj='linear', timm_proj_bias=True)


def make(args: argparse.Namespace) -> None:
    """Make, check and write the small CLIP."""
    torch.manual_seed(args.seed)
    laps = [time.time()]
    classifier = timm.create_model(MODEL).eval().requires_grad_(False)
    weights = read_weights(args.backbone, 'efficientnet').tensors
    classifier.load_state_dict({k.partition('.')[2]: v for k, v in weights.items()})
    words = read_words(args.wordnet)
    linear = classifier.classifier
    teacher = Teacher(linear.weight, linear.bias, concepts(words))
    photos = sorted(path for path in args.photos.iterdir() if path.suffix in ('.jpg', '.png'))
    features = compute_features(classifier, photos, SIZE, args.seed)
    left_out = torch.randperm(len(photos)) < len(photos) / 10
    laps.append(time.time())
    head, table, scale = teach_table(features[~left_out], teacher, DIMS, args.steps[0])
    laps.append(time.time())

    tokenizer = open_clip.SimpleTokenizer(context_length=TEXT['context_length'])
    tokens = used_tokens(words, tokenizer)
    config = dict(embed_dim=DIMS, vision_cfg=dict(VISION, image_size=SIZE))
    clip = untrained_clip(config | dict(text_cfg=dict(TEXT, vocab_size=len(tokens))))
    clip.visual.head.proj.load_state_dict(head.state_dict())
    clip.logit_scale.data.copy_(scale)
    clip.tokenizer = tokenizer
    reader = Reader(clip, tokens, table, words)
    teach_sentences(reader, table, words, args.steps[1], args.seed)
    laps.append(time.time())

    args.out.mkdir(parents=True, exist_ok=True)
    names = [str(args.out / f'small_clip.{ending}') for ending in ('json', 'safetensors')]
    config |= dict(text_cfg=dict(TEXT, vocab_size=tokenizer.vocab_size))
    preprocessing = dict(preprocess_cfg=dict(mean=MEAN, std=STD), trunk_weights=args.backbone)
    write_json(names[0], config | preprocessing)
    state = {k: v for k, v in clip.state_dict().items() if not k.startswith('visual.trunk.')}
    save_small_clip(state, tokens, tokenizer.vocab_size, names[1])
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(word.group, []).append(word.text)
    write_json(args.out / 'vocabulary.json', groups, indent=None)

    clip = build_clip(*names)  # as it is used from now on
    report = dict(
        seed=args.seed,
        photos=len(photos),
        left_out=check(clip, features[left_out], teacher, table, words),
        evaluation={
            folder.name: evaluate(clip, classifier, teacher, words, folder)
            for folder in args.evaluate
        },
    )
    laps.append(time.time())
    parts = ('features', 'table', 'sentences', 'checks')
    seconds = {name: round(b - a) for name, a, b in zip(parts, laps, laps[1:], strict=False)}
    write_json(args.out / 'report.json', report | dict(seconds=seconds))
    print(json.dumps(report | dict(seconds=seconds), indent=4))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Make the small CLIP')
    parser.add_argument('--photos', required=True, type=Path, help='folder of unlabelled photos')
    parser.add_argument('--out', required=True, type=Path, help='folder of the files')
    parser.add_argument('--wordnet', default='/usr/share/wordnet', type=Path, help='its data.noun')
    parser.add_argument('--backbone', default=LITE, help='weights of the image tower')
    parser.add_argument('--seed', default=0, type=int)
    parser.add_argument('--steps', default=STEPS, nargs=2, type=int, help='of the two halves')
    parser.add_argument(
        '--evaluate', default=(), nargs='*', type=Path, help='folders with tags and masks'
    )
    make(parser.parse_args())


if __name__ == '__main__':
    with exit_codes():
        main()
