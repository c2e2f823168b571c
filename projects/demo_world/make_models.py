"""Train the demo's two pretrained models, a tiny CLIP and a small backbone, and the study's ResNet.

python projects/demo_world/make_models.py --seed 0 --out work_dirs/demo_models
"""

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from pretraining.backbone import RESNET_FILE, TaggedResNet, train_backbone
from pretraining.checks import GOALS, check_backbone, check_tiny_clip
from pretraining.clip import train_clip

from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.demo.models import BACKBONE_FILE, CLIP_CONFIG, CLIP_FILE, FOLDER, REPORT_FILE
from semples_mmseg.models.clip.loading import save_small_clip
from semples_mmseg.utils.files import read_json
from semples_mmseg.utils.io import atomic_write
from semples_mmseg.weights import save_half

CHECK_SEED = 1_000_003
"""Seed of the scenes of the checks; not to be used for pretraining."""


def make_clip(seed: int, folder: Path) -> dict[str, float]:
    """Train the tiny CLIP, write it, and return its zero-shot accuracies."""
    torch.set_num_threads(1)
    trained = train_clip(seed)
    size = read_json(FOLDER / CLIP_CONFIG)['text_cfg']['vocab_size']
    save_small_clip(trained.model.state_dict(), trained.rows, size, folder / CLIP_FILE)
    return check_tiny_clip(trained, CHECK_SEED)


def make_backbone(seed: int, folder: Path, resnet: bool = False) -> dict[str, float]:
    """Train a backbone, write it without its classifiers, and return its tag accuracies."""
    torch.set_num_threads(1)
    trained = train_backbone(seed, TaggedResNet, epochs=10) if resnet else train_backbone(seed)
    save_half(trained.backbone.state_dict(), folder / (RESNET_FILE if resnet else BACKBONE_FILE))
    found = check_backbone(trained, CHECK_SEED)
    return {f'resnet_{name}': value for name, value in found.items()} if resnet else found


def make_models(seed: int, folder: Path) -> None:
    """Train the models side by side, one thread each, and write them with their checks.

    Args:
        seed: Pretraining seed; decides data, initial weights and order of all.
        folder: Folder of ``demo_clip.safetensors``, ``demo_backbone.safetensors``,
            ``demo_resnet.safetensors`` and ``demo_models.json``.
    """
    if seed < 0 or seed == CHECK_SEED:
        raise ValueError(f'--seed has to be >= 0 and not {CHECK_SEED}, the seed of the checks')
    folder.mkdir(parents=True, exist_ok=True)
    start, context = time.monotonic(), multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        jobs = [
            pool.submit(make_clip, seed, folder),
            pool.submit(make_backbone, seed, folder),
            pool.submit(make_backbone, seed, folder, True),
        ]
        measured = {name: value for job in jobs for name, value in job.result().items()}
    for name, goal in GOALS.items():
        verdict = 'reached' if measured[name] >= goal else 'MISSED'
        print(f'{name}: {measured[name]:.3f} (goal {goal}: {verdict})')
    seconds = round(time.monotonic() - start)
    checks = {name: round(measured[name], 4) for name in GOALS}
    with atomic_write(folder / REPORT_FILE) as file:
        json.dump(dict(seed=seed, seconds=seconds, checks=checks), file, indent=4)
        file.write('\n')


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the demo's pretrained models")
    parser.add_argument('--seed', type=int, default=0, help='pretraining seed')
    parser.add_argument('--out', required=True, type=Path, help='folder of the models')
    args = parser.parse_args()
    make_models(args.seed, args.out)


if __name__ == '__main__':
    with exit_codes():
        main()
