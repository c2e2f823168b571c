"""Cost of a run on this machine: its steps are run on a few images and scaled up."""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..masks.generate import IMAGES_TO_CHOOSE_BY
from ..utils.errors import RunError
from ..utils.files import read_json
from ..utils.lists import read_image_ids
from ..utils.parallel import start_child
from .recipe import Recipe, Step
from .steps import end_of_log
from .time_left import duration

BATCHES = 3
_LEAST_IMAGES = 12
"""Images of a test, whose batches may have one image."""


@dataclass(frozen=True)
class Cost:
    """Forecast of a step; without ``images`` it was not measured.

    ``megabytes`` is the largest resident memory of one of its processes, ``gpu_megabytes`` what
    PyTorch holds on one GPU, ``disk`` the megabytes of the outputs.
    """

    name: str
    images: int | None = None
    seconds: float = 0.0
    megabytes: float = 0.0
    gpu_megabytes: float = 0.0
    disk: float = 0.0


def forecast(recipe: Recipe, console: Console) -> list[Cost]:
    """Run every step that has a config on a few images, and compute the cost for all images.

    Each stage is trained for one epoch of three batches. A step uses the results of the short steps
    before it, so only data and initial weights are needed, not results of earlier runs. The recipe
    is that of the real run, in an empty folder.
    """
    costs = []
    for number, step in enumerate(recipe.steps, 1):
        if not step.loader:
            costs.append(Cost(step.name))
            continue
        few = _few(step, step.loader)
        if step.loader == 'pseudo_mask':  # the trainings after it need masks of their images
            later = [one for one in recipe.steps[number:] if one.loader == 'train']
            few = max([few, *(_few(one, 'train') for one in later)])
        with console.status(f'[{number}/{len(recipe.steps)}] {step.name}: a few images'):
            options = _short(step, few, recipe.folder)
            seconds, noted = _measure(step, options, recipe.folder / f'few_{number}')
        images = step.images() or few
        moments, few = noted['moments'], min(few, images)
        inside = moments[-1][1] - moments[0][1]
        if step.loader == 'train':
            seconds += _training(step, moments, few, images) - inside
        else:
            more = images - few
            if step.loader == 'pseudo_mask':  # a score is chosen by some of them before
                more += min(images, IMAGES_TO_CHOOSE_BY) - min(few, IMAGES_TO_CHOOSE_BY)
            seconds += inside / few * more
        memory = noted['megabytes'], noted['gpu_megabytes'], _disk(step, images)
        costs.append(Cost(step.name, images, seconds, *memory))
    return costs


def _few(step: Step, loader: str) -> int:
    """Number of images of a short run."""
    if loader == 'train':
        return BATCHES * max(batch for _, batch in _stages(step))
    batch = step.resolved[f'{loader}_dataloader'].get('batch_size', 1)
    return max(BATCHES * batch, _LEAST_IMAGES)


def _stages(step: Step) -> list[tuple[int, int]]:
    """Epochs and batch size of each stage of a training, or of all of it."""
    config = step.resolved
    batch = config.train_dataloader.get('batch_size')
    if not config.get('stages'):
        return [(config.train_cfg.max_epochs, batch)]
    return [(stage['epochs'], stage.get('batch_size') or batch) for stage in config.stages]


def _short(step: Step, few: int, folder: Path) -> list[str]:
    """Options for a short run; a training has one epoch and a validation for each stage."""
    options = [f'+{step.loader}_dataloader.dataset.indices={few}']
    if step.loader != 'train':
        return options
    config = step.resolved
    dataset = config.train_dataloader.dataset
    if dataset.get('data_prefix', {}).get('seg_map_path'):
        # A data set with masks checks that all of them are there.
        listed = read_image_ids(str(Path(dataset.get('data_root') or '') / dataset.ann_file))
        short = folder / 'few.txt'
        short.write_text(''.join(f'{name}\n' for name in listed[:few]), encoding='utf-8')
        options = [f'train_dataloader.dataset.ann_file={short}']
    if config.get('stages'):
        options += [f'stages.{index}.epochs=1' for index in range(len(config.stages))]
    else:
        options += ['train_cfg.max_epochs=1', '+train_cfg.val_interval=1']
    if config.get('val_dataloader'):
        options.append(f'+val_dataloader.dataset.indices={_few(step, "val")}')
    return options


def _measure(step: Step, options: Sequence[str], file: Path) -> tuple[float, dict[str, Any]]:
    """Run a step with more options; return seconds and the hook's file."""
    times, log = file.with_suffix('.json'), file.with_suffix('.log')
    hook = '+default_hooks.step_times'
    options = [*options, f'{hook}.type=StepTimesHook', f'{hook}.out={times}']
    start = time.monotonic()
    process = start_child([sys.executable, *step.command(options)], log)
    process.join()
    seconds = time.monotonic() - start
    if process.exitcode or not times.is_file():
        raise RunError(
            f'step {step.name!r} fails on a few images already. The end of its output:\n'
            + end_of_log(log)
        )
    return seconds, read_json(times)


def _training(step: Step, moments: Sequence[Any], few: int, images: int) -> float:
    """Seconds of a whole training, from hook points and their seconds (``StepTimesHook``).

    Times of waiting for a batch are averaged, because workers load the first batches of an epoch
    together; of computing times the median is taken, because the first step of a stage is slower.
    """
    parts: list[dict[str, list[float]]] = []
    for (before, start), (name, end) in pairwise(moments):
        if name == 'before_train_epoch':
            parts.append(defaultdict(list))
        elif parts and (name != 'after_val' or before == 'before_val'):
            parts[-1][name].append(end - start)
    config, stages, total = step.resolved, _stages(step), 0.0
    for part, (epochs, batch) in zip(parts, stages, strict=True):
        wait = statistics.mean(part['before_train_iter'])
        compute = statistics.median(part['after_train_iter'])
        # The checkpoint of an epoch is written before 'after_train_epoch'.
        total += epochs * (images // batch * (wait + compute) + sum(part['after_train_epoch']))
    if config.get('val_dataloader'):
        interval = config.train_cfg.get('val_interval', 1)
        times = len(stages) + sum((epochs - 1) // interval for epochs, _ in stages)
        validated = step.images('val') or few
        seconds = statistics.mean(part['after_val'][0] for part in parts)
        total += times * seconds * validated / min(_few(step, 'val'), validated)
    return total


def _disk(step: Step, images: int) -> float:
    """Megabytes of the outputs and of the step's folder; masks in proportion."""
    paths = step.paths([step.folder] if step.folder else step.outputs).values()
    files = [file for path in paths for file in (path, *path.rglob('*')) if file.is_file()]
    # A short run of one stage has one checkpoint; a long run keeps the last two.
    epochs = [file for file in files if file.match('epoch_*.pth')]
    size = sum(file.stat().st_size for file in files + (epochs if len(epochs) == 1 else []))
    masks = sum(file.suffix == '.png' for file in files)
    return size / 2**20 * (images / masks if masks else 1)


def show_forecast(
    costs: Sequence[Cost],
    console: Console,
    hints: Sequence[str] = ('what lowers each: docs/training.md, "Faster"',),
) -> None:
    """Print the costs as a table, with their sum (of memory, the largest), and hints below it."""
    known = [cost for cost in costs if cost.images is not None]
    total = Cost(
        'all',
        seconds=sum(cost.seconds for cost in known),
        megabytes=max(cost.megabytes for cost in known),
        gpu_megabytes=max(cost.gpu_megabytes for cost in known),
        disk=sum(cost.disk for cost in known),
    )
    table = Table('step', title='Forecast for this machine, from a few steps of each')
    for column in ('images', 'time', 'memory', 'disk'):
        table.add_column(column, justify='right')
    for cost in [*costs, total]:
        if cost is total:
            table.add_section()
        elif cost not in known:
            table.add_row(cost.name, 'not measured')
            continue
        images = '' if cost.images is None else str(cost.images)
        memory = f'{cost.megabytes:.0f} MB'
        if cost.gpu_megabytes:
            memory += f', GPU {cost.gpu_megabytes:.0f} MB'
        table.add_row(cost.name, images, duration(cost.seconds), memory, f'{cost.disk:.0f} MB')
    console.print(table)
    for hint in hints:
        console.print(f'- {hint}')
