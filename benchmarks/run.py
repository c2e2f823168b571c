"""Measure the hot paths against their baselines.

python -m benchmarks.run                        # all of them, as large as on VOC
python -m benchmarks.run --path refine          # one
python -m benchmarks.run --path curve --images 150
python -m benchmarks.run --scaling --json scaling.json --path refine
python -m benchmarks.run --size toy             # a smoke test of seconds

Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile

import torch
from rich.console import Console

from semples_mmseg.masks.crf import require_pydensecrf
from semples_mmseg.utils.io import write_json

from .machine import describe
from .paths import PATHS
from .report import (
    SCALING,
    TOY_SCALING,
    measure_path,
    measure_processes,
    measure_scaling,
    path_table,
    processes_table,
    scaling_table,
)
from .setting import SIZES, Setting

TOY_IMAGES, TOY_BATCH = 3, 4


def positive(text: str) -> int:
    """Read a number of things."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {value}')
    return value


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.run', description='Speed and memory against a stated baseline'
    )
    parser.add_argument(
        '--path', nargs='+', choices=list(PATHS), default=list(PATHS), help='default: all'
    )
    parser.add_argument('--size', choices=SIZES, default='full')
    parser.add_argument('--device', choices=['cpu', 'cuda'], help='default: a GPU if there is one')
    parser.add_argument('--batch', type=positive, help='images of a training step')
    parser.add_argument('--images', type=positive, help='images of cams, curve, crf and loading')
    parser.add_argument('--repeats', type=positive, default=5, help='rounds that count')
    parser.add_argument('--no-memory', action='store_true', help='leave peak memory out')
    parser.add_argument(
        '--scaling',
        action='store_true',
        help='stage (c) by classes per image, image size and (on a CPU) processes too',
    )
    parser.add_argument('--json', help='file for the results')
    args = parser.parse_args(arguments)
    args.device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: PyTorch sees no GPU; use --device cpu')
    if 'crf' in args.path:
        require_pydensecrf()
    return args


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(arguments)
    console = Console()
    report = dict(machine=describe(args.device), paths={})
    toy = args.size == 'toy'
    with tempfile.TemporaryDirectory(prefix='semples-benchmarks-') as folder:
        for name in args.path:
            path = PATHS[name]
            setting = Setting(
                size=args.size,
                device=args.device,
                batch=args.batch or (TOY_BATCH if toy else (path.batch or {}).get(args.device, 0)),
                images=args.images or (TOY_IMAGES if toy else path.images),
                folder=folder,
            )
            report['paths'][name] = measure_path(
                path, name, setting, args.repeats, not args.no_memory, console
            )
        if args.scaling:
            setting = Setting(
                size=args.size,
                device=args.device,
                batch=args.batch or (TOY_BATCH if toy else PATHS['refine'].batch[args.device]),
                images=0,
                folder=folder,
            )
            cases = TOY_SCALING if toy else SCALING
            report['scaling'] = measure_scaling(setting, args.repeats, cases, console)
            if args.device == 'cpu':
                report['processes'] = measure_processes(setting, args.repeats, console)
    console.print(path_table(report['paths']))
    if args.scaling:
        console.print(scaling_table(report['scaling']))
        if 'processes' in report:
            console.print(processes_table(report['processes']))
    if args.json:
        write_json(args.json, report)


if __name__ == '__main__':
    main()
