"""Seconds and memory of one photo by its size, with and without ``LimitSide``.

python -m benchmarks.photo_sizes [--part cams segmenter crf] [--sides 640 1024 4032] [--timeout 120]

From the JPEG file to the label map at its own size: CAMs of DeiT-S with two tags (scales 1.0 and
1.2 with flips), the Segmenter, the dense CRF of a label map. Weights and photo are random. Each
case is a process of its own; one that takes longer than --timeout is ended.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

import semples_mmseg  # noqa: F401
from semples_mmseg.masks.refinement import DenseCRF
from semples_mmseg.photos.torch_model import TorchModel
from semples_mmseg.utils.sizes import limited_size, resized_label

from .measuring import ROOT, reset_peak, resident

LIMIT = 640
NO_LIMIT = 1 << 20


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--part', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument(
        '--sides', nargs='+', type=int, default=[640, 1024, 4032], help='long sides, 4:3'
    )
    parser.add_argument('--timeout', type=float, default=120, help='seconds of a case, at most')
    parser.add_argument('--case', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        part, photo, limit = json.loads(args.case)
        print('{:.2f} | {:,.0f}'.format(*measure(part, photo, limit)))
        return
    print('| part | photo | limit | seconds | peak memory, MiB |')
    print('|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        for part in args.part:
            for side in args.sides:
                photo = draw_photo(Path(folder) / f'{side}.jpg', side)
                for limit in (LIMIT, NO_LIMIT) if side > LIMIT else (NO_LIMIT,):
                    found = run_case(part, photo, limit, args.timeout)
                    shown = '-' if limit == NO_LIMIT else limit
                    print(f'| {part} | {side} x {side * 3 // 4} | {shown} | {found} |', flush=True)


def draw_photo(path: Path, side: int) -> str:
    """Write a JPEG of smooth colours with grain, ``side`` x 3/4 ``side``; returns its path."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    smooth = np.asarray(coarse.resize((side, side * 3 // 4)), np.int16)
    grain = rng.integers(-12, 13, smooth.shape, np.int16)
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return str(path)


def run_case(part: str, photo: str, limit: int, timeout: float) -> str:
    """``measure`` in a fresh process, as two cells of the table."""
    case = json.dumps([part, photo, limit])
    command = [sys.executable, '-m', 'benchmarks.photo_sizes', '--case', case]
    try:
        result = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return f'more than {timeout:g} | '
    return 'failed | ' if result.returncode else result.stdout.splitlines()[-1]


def measure(part: str, photo: str, limit: int) -> tuple[float, float]:
    """Seconds, and peak MiB of this process, of one photo after a small one."""
    predict = PARTS[part](limit)
    with tempfile.TemporaryDirectory() as folder:
        predict(draw_photo(Path(folder) / 'small.jpg', 64))
    reset_peak()
    start = time.perf_counter()
    shape = predict(photo).shape
    seconds = time.perf_counter() - start
    with Image.open(photo) as image:
        assert shape == (image.height, image.width)
    return seconds, resident('VmHWM') / 2**20


def _cams(limit: int) -> Callable[[str], np.ndarray]:
    init_default_scope('mmseg')
    config = Config.fromfile(ROOT / 'configs/_base_/models/semples_deit-s.py')
    generator = dict(config.model.mask_generator, init_cfg=None)
    model = MODELS.build(
        dict(type='CAMSegmentor', class_names='WeakVOCDataset', mask_generator=generator)
    )
    model.eval()
    pipeline = Compose(
        [
            dict(type='LoadCheckedImage'),
            dict(type='LimitSide', max_side=limit),
            dict(type='PackWeakInputs', scales=(1.0, 1.2)),
        ]
    )
    labels = np.zeros(model.num_classes, np.float32)
    labels[[3, 14]] = 1

    def predict(photo: str) -> np.ndarray:
        item = dict(img_path=photo, img_id='a', image_labels=labels)
        with torch.no_grad():
            (sample,) = model.test_step(pseudo_collate([pipeline(item)]))
        return sample.pred_sem_seg.data[0].numpy()

    return predict


def _segmenter(limit: int) -> Callable[[str], np.ndarray]:
    config = Config.fromfile(ROOT / 'configs/segmenter/segmenter_deit-s_voc12.py')
    config.model.backbone.init_cfg = None
    init_default_scope('mmseg')
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / 'weights.pth'
        torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta={}), weights)
        return TorchModel(config, weights, 'cpu', limit).predict


def _crf(limit: int) -> Callable[[str], np.ndarray]:
    refine = DenseCRF('voc')

    def predict(photo: str) -> np.ndarray:
        with Image.open(photo) as image:
            size = (image.height, image.width)
        small = limited_size(size, limit)
        label = np.zeros(small, np.uint8)
        label[: small[0] // 2, : small[1] // 2], label[small[0] // 2 :, small[1] // 2 :] = 4, 15
        sample = dict(img_path=photo, ori_shape=size, cam_classes=[3, 14])
        return resized_label(refine(label, sample), size)

    return predict


PARTS = dict(cams=_cams, segmenter=_segmenter, crf=_crf)

if __name__ == '__main__':
    main()
