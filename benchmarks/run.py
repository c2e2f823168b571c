"""Measure the hot paths against their baselines.

python -m benchmarks.run                        # all of them, as large as on VOC
python -m benchmarks.run --path refine          # one
python -m benchmarks.run --path curve --images 150
python -m benchmarks.run --scaling --json scaling.json --path refine
python -m benchmarks.run --toy                  # a smoke test of seconds

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from dataclasses import replace
from typing import Any

import torch

from semples_mmseg import __version__, environment
from semples_mmseg.utils.io import write_json

from .measuring import count_flops, interleaved_medians, memory_in_own_process, peak_flops
from .paths import OURS, PATHS
from .setting import STEP_BATCH, Setting
from .steps import OurStep

TOY_IMAGES, TOY_BATCH = 3, 4
SCALING = [dict(classes=classes) for classes in (1, 2, 4, 8, 20)]
SCALING += [dict(classes=1, side=side) for side in (224, 320, 416, 512)]
TOY_SCALING = [dict(classes=1), dict(classes=4), dict(classes=1, side=96)]


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.run', description='Speed and memory against a stated baseline'
    )
    parser.add_argument(
        '--path', nargs='+', choices=list(PATHS), default=list(PATHS), help='default: all'
    )
    parser.add_argument('--toy', action='store_true', help='everything tiny')
    parser.add_argument('--device', choices=['cpu', 'cuda'], help='default: a GPU if there is one')
    parser.add_argument('--batch', type=int, help='images of a training step')
    parser.add_argument('--images', type=int, help='images of cams, curve, crf and loading')
    parser.add_argument('--repeats', type=int, default=5, help='rounds that count')
    parser.add_argument('--no-memory', action='store_true', help='leave peak memory out')
    parser.add_argument(
        '--scaling', action='store_true', help='stage (c) by classes per image and image size too'
    )
    parser.add_argument('--json', help='file for the results')
    args = parser.parse_args(arguments)
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return args


def measure_path(name: str, setting: Setting, repeats: int, memory: bool) -> dict[str, Any]:
    """Measure all versions of a path.

    Args:
        name: Its key in ``PATHS``.
        setting: Sizes.
        repeats: Rounds that count.
        memory: Whether each version is run once more in a process of its own.

    Returns:
        ``sides`` with seconds, and where they are measured FLOPs, share of the bound and peak
        memory in bytes of each version.
    """
    path = PATHS[name]
    if path.cpu_only:
        setting = replace(setting, device='cpu')
    dtype = torch.bfloat16 if setting.device == 'cuda' and path.batch else torch.float32
    sides = {side: build(setting) for side, build in path.sides.items()}
    try:
        found = {
            side: dict(seconds=value)
            for side, value in interleaved_medians(sides, setting.device, repeats).items()
        }
        if not path.cpu_only:
            bound = peak_flops(setting.device, dtype, setting.toy)
            for side, row in found.items():
                row['flops'] = count_flops(sides[side])
                row['share_of_bound'] = row['flops'] / (bound * row['seconds'])
    finally:
        for side in sides.values():
            side.close()
    del sides
    if memory:
        for side, row in found.items():
            row['memory'] = memory_in_own_process(name, side, setting)
    return dict(title=path.title, setting=dict(vars(setting), folder=None), sides=found)


def path_rows(result: dict[str, Any]) -> list[str]:
    """Rows of the table: one for each version."""
    own, rows = result['sides'][OURS], []
    for side, row in result['sides'].items():
        cells = [result['title'], side, f'{row["seconds"]:.4g}']
        cells.append(f'{row["seconds"] / own["seconds"]:.2f}')
        cells.append(f'{row["flops"] / 1e9:.1f}' if 'flops' in row else '-')
        cells.append(f'{row["share_of_bound"]:.0%}' if 'flops' in row else '-')
        cells.append(f'{row["memory"] / 2**20:,.0f}' if 'memory' in row else '-')
        rows.append(f'| {" | ".join(cells)} |')
    return rows


def measure_scaling(
    setting: Setting, repeats: int, cases: list[dict[str, int]]
) -> list[dict[str, Any]]:
    """Seconds and FLOPs of our step of stage (c) by ``classes`` and ``side`` of ``Setting``."""
    rows = []
    for case in cases:
        step = OurStep(replace(setting, **case), 'refine')
        seconds = interleaved_medians({OURS: step}, setting.device, repeats)[OURS]
        pairs = sum(int(sample.image_labels.sum()) for sample in step.samples)
        row = dict(classes=case['classes'], side=step.images.shape[-1], pairs=pairs)
        rows.append(dict(row, seconds=seconds, flops=count_flops(step)))
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(arguments)
    versions = dict(semples_mmseg=__version__, torch=torch.__version__, **environment.installed())
    gpu = torch.cuda.get_device_name() if args.device == 'cuda' else None
    machine = dict(cpu=platform.processor(), cores=os.cpu_count(), gpu=gpu, versions=versions)
    report: dict[str, Any] = dict(machine=machine, repeats=args.repeats, paths={})
    print('| path | version | seconds | seconds / ours | GFLOP | of the bound | peak MiB |')
    print('|---|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory(prefix='semples-benchmarks-') as folder:
        default = TOY_BATCH if args.toy else STEP_BATCH[args.device]
        setting = Setting(args.toy, args.device, args.batch or default, 0, folder)
        for name in args.path:
            path = PATHS[name]
            images = args.images or (TOY_IMAGES if args.toy else path.images)
            batch = setting.batch
            if path.batch and not (args.batch or args.toy):
                batch = path.batch[args.device]
            sized = replace(setting, images=images, batch=batch)
            found = measure_path(name, sized, args.repeats, not args.no_memory)
            report['paths'][name] = found
            print('\n'.join(path_rows(found)), flush=True)
        if args.scaling:
            cases = TOY_SCALING if args.toy else SCALING
            report['scaling'] = measure_scaling(setting, args.repeats, cases)
            print(
                '\n| classes per image | image side | P | seconds | GFLOP |\n|---|---|---|---|---|'
            )
            for row in report['scaling']:
                sizes = f'| {row["classes"]} | {row["side"]} | {row["pairs"]} '
                print(f'{sizes}| {row["seconds"]:.4g} | {row["flops"] / 1e9:.0f} |')
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    main()
