"""Memory and speed of pseudo masks by the number of images.

python -m benchmarks.collection [--images 1000 10000 100000]

tools/make_pseudo_masks.py on photos of 32 x 32 pixels with the demo's mask generator and CLIP, with
random weights. All photos of a list are links to the same hundred files. Each case is a process of
its own.
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
CONFIG = """
_base_ = {base!r}
pseudo_mask_dataloader = dict(
    batch_size=100,
    dataset=dict(
        _delete_=True,
        type='WeakLabelDataset',
        data_root={folder!r},
        ann_file='list.txt',
        label_file='labels.json',
        class_names={classes!r},
        img_suffix='.png',
        data_prefix=dict(img_path='photos'),
        test_mode=True,
        pipeline=[dict(type='LoadCheckedImage'), dict(type='PackWeakInputs')],
    ),
)
pseudo_mask_evaluator = dict(background_score=0.5)
"""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', nargs='+', type=int, default=NUMBERS)
    args = parser.parse_args()
    print('| images | images/s | peak memory, MiB |')
    print('|---|---|---|')
    for number in args.images:
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = measure(number, Path(folder))
        print(f'| {number:,} | {number / seconds:.0f} | {peak / 2**20:,.0f} |', flush=True)


def measure(number: int, folder: Path) -> tuple[float, int]:
    """Seconds of the whole process, and its peak resident memory in bytes.

    Raises:
        RuntimeError: If the tool fails or does not write a mask for every photo.
    """
    draw_photos(folder, number)
    config, weights, out = write_model(folder), folder / 'weights.pth', folder / 'out'
    tool = str(ROOT / 'tools' / 'make_pseudo_masks.py')
    command = [sys.executable, tool, str(config), str(weights), '--out', str(out)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, '--work-dir', str(folder / 'work')])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    written = sum(1 for _ in out.glob('*.png'))
    if status or written != number:
        raise RuntimeError(f'{written} of {number} masks')
    return seconds, usage.ru_maxrss * 1024


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


def write_model(folder: Path) -> Path:
    """Write ``weights.pth``, random, and a config for the photos; returns the config's path."""
    path = folder / 'config.py'
    base = str(ROOT / 'configs/semples/demo_refine.py')
    path.write_text(CONFIG.format(base=base, folder=str(folder), classes=list(OBJECTS)))
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path).model)
    torch.save(dict(state_dict=model.state_dict()), folder / 'weights.pth')
    return path


if __name__ == '__main__':
    main()
