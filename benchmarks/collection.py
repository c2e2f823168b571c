"""Memory and speed of pseudo masks and predictions by the number of images.

python -m benchmarks.collection [--part masks predictions] [--images 1000 10000 100000]

The tools predict photos of 32 x 32 pixels with small random models: the demo's mask generator and
CLIP, and the demo's Segmenter. All photos of a list are links to the same hundred files. Each case
is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

import semples_mmseg.demo  # noqa: F401
from semples_mmseg.demo.world import OBJECTS

ROOT = Path(__file__).parents[1]
NUMBERS = (1000, 10_000, 100_000)
DISTINCT = 100
SIDE = 32
BATCH = 100
_LOADERS = dict(masks='pseudo_mask', predictions='test')
_CONFIGS = dict(masks='semples/demo_refine.py', predictions='segmenter/segmenter_demo.py')


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--part', nargs='+', choices=_LOADERS, default=list(_LOADERS))
    parser.add_argument('--images', nargs='+', type=int, default=NUMBERS)
    parser.add_argument('--json', type=Path, help='file for the figures')
    args = parser.parse_args()
    rows = []
    print('| part | images | images/s | peak memory, MiB |')
    print('|---|---|---|---|')
    for part in args.part:
        for number in args.images:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(part, number, Path(folder)))
            row = rows[-1]
            rate, peak = row['images'] / row['seconds'], row['peak'] / 2**20
            print(f'| {part} | {number:,} | {rate:.0f} | {peak:,.0f} |', flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


def measure(part: str, number: int, folder: Path) -> dict[str, Any]:
    """Seconds of the whole process, and its peak resident memory in bytes.

    Args:
        part: ``'masks'`` or ``'predictions'``.
        number: Number of images.
        folder: An empty folder.

    Raises:
        RuntimeError: If the tool fails or does not write a mask for every photo.
    """
    draw_photos(folder, number)
    config, weights, out = write_model(part, folder), folder / 'weights.pth', folder / 'out'
    tool = 'make_pseudo_masks.py' if part == 'masks' else 'test.py'
    command = [sys.executable, str(ROOT / 'tools' / tool), str(config), str(weights)]
    command += ['--out', str(out), '--work-dir', str(folder / 'work')]
    with open(folder / 'log', 'w+') as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        written = sum(1 for _ in out.glob('*.png'))
        if status or written != number:
            log.seek(0)
            raise RuntimeError(f'{written} of {number} masks: {log.read()[-2000:]}')
    return dict(part=part, images=number, seconds=seconds, peak=usage.ru_maxrss * 1024)


def draw_photos(folder: Path, number: int) -> None:
    """Write ``photos/``, ``list.txt`` and ``labels.json``: two tags a photo."""
    rng = np.random.default_rng(0)
    (folder / 'photos').mkdir()
    names = [f'{index:06}' for index in range(number)]
    for index, name in enumerate(names):
        path = folder / 'photos' / f'{name}.png'
        if index < DISTINCT:
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path)
        else:
            os.link(folder / 'photos' / f'{names[index % DISTINCT]}.png', path)
    (folder / 'list.txt').write_text('\n'.join(names))
    labels = {name: [OBJECTS[i % 6], OBJECTS[(i + 1) % 6]] for i, name in enumerate(names)}
    (folder / 'labels.json').write_text(json.dumps(labels))


def write_model(part: str, folder: Path) -> Path:
    """Write ``weights.pth``, random, and a config for the photos; returns the config's path."""
    base = ROOT / 'configs' / _CONFIGS[part]
    loader = f'{_LOADERS[part]}_dataloader'
    path = folder / 'config.py'
    resize = "dict(type='Resize', scale=(32, 32), keep_ratio=True), " if part != 'masks' else ''
    path.write_text(
        f'_base_ = {str(base)!r}\n'
        f'{loader} = dict(batch_size={BATCH}, dataset=dict(_delete_=True, '
        f"type='WeakLabelDataset', data_root={str(folder)!r}, ann_file='list.txt', "
        f"label_file='labels.json', class_names={list(OBJECTS)!r}, img_suffix='.png', "
        "data_prefix=dict(img_path='photos'), test_mode=True, pipeline=["
        f"dict(type='LoadCheckedImage'), {resize}dict(type='PackWeakInputs')]))\n"
        'pseudo_mask_evaluator = dict(background_score=0.5)\n'
    )
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path).model)
    torch.save(dict(state_dict=model.state_dict()), folder / 'weights.pth')
    return path


if __name__ == '__main__':
    main()
