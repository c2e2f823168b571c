"""Running the paths and telling what came out: a table for people, a JSON file for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .distributed import seconds_of_step
from .machine import peak_flops
from .measuring import count_flops, interleaved_medians, memory_in_own_process
from .paths import OURS, PATHS, Path
from .setting import Setting
from .steps import OurStep

SCALING = [dict(classes=classes) for classes in (1, 2, 4, 8, 20)]
SCALING += [dict(classes=1, side=side) for side in (224, 320, 416, 512)]
PROCESSES = (1, 2)
TOY_SCALING = [dict(classes=1), dict(classes=4), dict(classes=1, side=96)]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def measure_path(
    path: Path, name: str, setting: Setting, repeats: int, memory: bool, console: Console
) -> dict[str, Any]:
    """Measure all versions of a path.

    Args:
        path: The path.
        name: Its key in ``PATHS``.
        setting: Sizes.
        repeats: Rounds that count.
        memory: Whether each version is run once more in a process of its own.
        console: For the progress.

    Returns:
        For the JSON file: ``sides`` with seconds, images a second, FLOPs, share of the bound and
        memory of each version, ``speedup`` over and ``memory_ratio`` to each baseline.
    """
    if path.cpu_only:
        setting = replace(setting, device='cpu')
    dtype, dtypes = path.dtypes(setting.device)

    def peak() -> float:
        return peak_flops(setting.device, dtype, setting.toy) if path.matmul else 0.0

    bound = peak()
    with _progress(console) as progress:
        task = progress.add_task(path.title, total=(repeats + 1) * len(path.sides))
        sides = {side: path.build(side, setting) for side in path.sides}
        try:
            seconds = interleaved_medians(
                sides, setting.device, repeats, lambda: progress.advance(task)
            )
            flops = {s: count_flops(side) if path.matmul else None for s, side in sides.items()}
        finally:
            for side in sides.values():
                side.close()
    del sides
    bound = max(bound, peak())  # what a shared machine gives changes
    result: dict[str, Any] = dict(
        title=path.title,
        dtype=dtypes,
        setting=setting.to_json(),
        repeats=repeats,
        peak_flops=bound or None,
        sides={
            side: dict(
                seconds=value,
                images_per_second=path.number(setting) / value,
                flops=flops[side],
                share_of_bound=flops[side] / (bound * value) if bound else None,
            )
            for side, value in seconds.items()
        },
    )
    if memory:
        for side in path.sides:
            result['sides'][side]['memory'] = memory_in_own_process(name, side, setting)
    own = result['sides'][OURS]
    baselines = [side for side in path.sides if side != OURS]
    result['speedup'] = {side: seconds[side] / own['seconds'] for side in baselines}
    if memory:
        peaks = {side: result['sides'][side]['memory']['peak'] for side in path.sides}
        result['memory_ratio'] = {side: peaks[OURS] / peaks[side] for side in baselines}
    return result


def measure_scaling(
    setting: Setting, repeats: int, cases: Sequence[dict[str, int]], console: Console
) -> list[dict[str, Any]]:
    """Seconds and FLOPs of our step of stage (c) by classes per image and by image size.

    Args:
        setting: Sizes of the rest.
        repeats: Rounds that count.
        cases: ``classes`` and ``side`` of ``Setting``.
        console: For the progress.
    """
    rows = []
    with _progress(console) as progress:
        task = progress.add_task('scaling of stage (c)', total=(repeats + 1) * len(cases))
        for case in cases:
            step = OurStep(replace(setting, **case), 'refine')
            medians = interleaved_medians(
                {OURS: step}, setting.device, repeats, lambda: progress.advance(task)
            )
            pairs = sum(int(sample.image_labels.sum()) for sample in step.samples)
            row = dict(classes=case['classes'], side=step.images.shape[-1], pairs=pairs)
            rows.append(dict(row, seconds=medians[OURS], flops=count_flops(step)))
    return rows


def measure_processes(setting: Setting, repeats: int, console: Console) -> dict[int, float]:
    """Seconds of our step of stage (c) by the number of processes that share images and cores.

    Args:
        setting: Sizes.
        repeats: Rounds that count.
        console: For the progress.
    """
    with _progress(console) as progress:
        task = progress.add_task('processes of stage (c)', total=len(PROCESSES))
        seconds = {}
        for number in PROCESSES:
            seconds[number] = seconds_of_step(replace(setting, classes=2), number, repeats)
            progress.advance(task)
    return seconds


def _number(value: float | None, scale: float = 1.0, digits: int = 2) -> str:
    return '-' if value is None else f'{value / scale:.{digits}f}'


def path_table(results: dict[str, dict[str, Any]]) -> Table:
    """One row per version of each path."""
    title = 'medians; speed-up over and memory relative to each baseline'
    table = Table('path', 'version', title=title, box=SIMPLE_HEAD)
    for column in ('seconds', 'speed-up', 'GFLOP', 'bound', 'MiB', 'memory'):
        table.add_column(column, justify='right', no_wrap=True)
    for name in PATHS:
        if name not in results:
            continue
        result = results[name]
        for side, row in result['sides'].items():
            share, peak = row['share_of_bound'], row.get('memory', {}).get('peak')
            table.add_row(
                result['title'] if side == OURS else '',
                side,
                _number(row['seconds'], digits=4),
                '' if side == OURS else f'{result["speedup"][side]:.2f}x',
                _number(row['flops'], 1e9),
                '-' if share is None else f'{100 * share:.0f} %',
                _number(peak, 2**20, 0),
                f'{result["memory_ratio"][side]:.2f}x' if peak and side != OURS else '',
            )
        table.add_section()
    return table


def scaling_table(rows: Sequence[dict[str, Any]]) -> Table:
    """One row per case."""
    table = Table(title='our step of stage (c): cost by pairs P and by image size')
    for column in ('classes per image', 'image side', 'P', 'seconds', 'GFLOP'):
        table.add_column(column, justify='right')
    for row in rows:
        numbers = (str(row[key]) for key in ('classes', 'side', 'pairs'))
        table.add_row(*numbers, _number(row['seconds'], digits=4), _number(row['flops'], 1e9))
    return table


def processes_table(seconds: dict[int, float]) -> Table:
    """One row per number of processes."""
    table = Table(title='the same, 2 classes per image, divided among processes')
    for column in ('processes', 'seconds'):
        table.add_column(column, justify='right')
    for number, value in seconds.items():
        table.add_row(str(number), _number(value, digits=4))
    return table
