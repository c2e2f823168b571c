"""Cost of a pipeline on this machine: its steps are run on a few images and scaled up."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from rich.console import Console
from rich.table import Table

from ..engine.stage_plan import StagePlan
from ..masks.generate import IMAGES_TO_CHOOSE_BY
from ..utils.config_options import read_config
from ..utils.errors import RunError
from ..utils.files import read_json
from ..utils.lists import read_image_ids
from .child import start_child
from .steps import OPTIONS, Step, end_of_log
from .time_left import duration

BATCHES = 3
_LEAST_IMAGES = 12
"""Images of a test, whose batches may have one image."""

_HINTS = (
    'time: --amp, more processes (--gpus, num_workers), fewer epochs (stages.N.epochs), LimitSide',
    'memory: smaller batches (stages.N.batch_size), model.image_head.max_batch, LimitSide',
    'disk: default_hooks.checkpoint.max_keep_ckpts=1',
)


@dataclass(frozen=True)
class Cost:
    """Forecast of a step.

    Attributes:
        name: Name of the step.
        images: Number of images it goes through, or None if it was not measured.
        seconds: Time on this machine.
        megabytes: Largest resident memory of one of its processes.
        gpu_megabytes: Largest memory that PyTorch holds on one GPU.
        disk: Megabytes of its outputs.
    """

    name: str
    images: int | None = None
    seconds: float = 0.0
    megabytes: float = 0.0
    gpu_megabytes: float = 0.0
    disk: float = 0.0


@dataclass(frozen=True)
class _Measured:
    moments: list[tuple[str, float]]
    seconds: float
    megabytes: float
    gpu_megabytes: float

    def between(self, start: str, end: str) -> float:
        """Seconds from the first moment of a name to the last of another."""
        first = next(at for name, at in self.moments if name == start)
        return [at for name, at in self.moments if name == end][-1] - first


def forecast(steps: Sequence[Step], folder: Path, console: Console) -> list[Cost]:
    """Run every step of a pipeline on a few images, and compute the cost for all images.

    Each stage is trained for one epoch of three batches. A step uses the results of the short steps
    before it, so only data and initial weights are needed, not results of earlier runs.

    Args:
        steps: The steps of a real run, with ``folder`` as the folder of their results.
        folder: An empty folder.
        console: Where progress is shown.

    Returns:
        The cost of each step.

    Raises:
        RuntimeError: If a step fails on the few images.
    """
    costs: list[Cost] = []
    startup = math.inf  # seconds of a process before its first step, the minimum
    for number, step in enumerate(steps, 1):
        if step.config is None:
            costs.append(Cost(step.name))
            continue
        with console.status(f'[{number}/{len(steps)}] {step.name}: a few images'):
            config, tool = _config(step), _tool(step)
            if tool == 'train.py':
                measured = _measure(step, _short_training(config, folder), folder, number)
                outside = measured.seconds - measured.between('before_train', 'after_train')
                startup = min(startup, outside)
                _rename_last_epoch(step)
                images, seconds = _training(config, measured)
                seconds += outside
            else:
                loader = 'pseudo_mask' if tool == 'make_pseudo_masks.py' else 'test'
                few = _few(config, loader)
                if loader == 'pseudo_mask':
                    few = max([few, *_few_of_trainings(steps[number:])])
                limit = f'+{loader}_dataloader.dataset.indices={few}'
                measured = _measure(step, [limit], folder, number)
                images = _images(config, loader)
                seconds = _prediction(measured, min(few, images), images)
                if loader == 'pseudo_mask':
                    seconds += _choice(measured, startup, min(few, images), images)
            disk = step.megabytes or _disk(step, tool, images)
        costs.append(
            Cost(step.name, images, seconds, measured.megabytes, measured.gpu_megabytes, disk)
        )
    return costs


def _few_of_trainings(steps: Sequence[Step]) -> list[int]:
    """Images that the short trainings of some steps go through: each needs its pseudo mask."""
    return [
        _few_of_training(_config(step))
        for step in steps
        if step.config and _tool(step) == 'train.py'
    ]


def _prediction(measured: _Measured, few: int, images: int) -> float:
    """Seconds for all images, from those for a few."""
    inside = measured.between('before_test', 'after_test')
    return measured.seconds - inside + inside * images / few


def _choice(measured: _Measured, startup: float, few: int, images: int) -> float:
    """Seconds to choose a background score by more images than were measured."""
    outside = measured.seconds - measured.between('before_test', 'after_test')
    per_image = max(outside - startup, 0.0) / min(few, IMAGES_TO_CHOOSE_BY)
    return per_image * (min(images, IMAGES_TO_CHOOSE_BY) - min(few, IMAGES_TO_CHOOSE_BY))


def _tool(step: Step) -> str:
    return Path(next(part for part in step.command if part.endswith('.py'))).name


def _config(step: Step) -> Config:
    """The config that a step runs with."""
    assert step.config is not None
    return read_config(step.config, step.options)


def _images(config: Config, loader: str) -> int:
    """Number of images of a data set."""
    if loader == 'train' and (ids := _listed(config)):
        return len(ids)
    init_default_scope(config.get('default_scope', 'mmseg'))
    return len(DATASETS.build(dict(config[f'{loader}_dataloader'].dataset, pipeline=[])))


def _few(config: Config, loader: str) -> int:
    return max(BATCHES * config[f'{loader}_dataloader'].get('batch_size', 1), _LEAST_IMAGES)


def _batches(config: Config) -> list[int]:
    """Batch size of each stage, or of the only training."""
    of_loader = config.train_dataloader.get('batch_size')
    if not config.get('stages'):
        return [of_loader]
    return [spec.batch_size or of_loader for spec in StagePlan(config.stages).specs]


def _few_of_training(config: Config) -> int:
    return BATCHES * max(_batches(config))


def _listed(config: Config) -> list[str]:
    """Image list of a retraining, whose data set cannot be built without its masks."""
    dataset = config.train_dataloader.dataset
    if not dataset.get('data_prefix', {}).get('seg_map_path'):
        return []
    return read_image_ids(Path(dataset.get('data_root') or '') / dataset.ann_file)


def _short_training(config: Config, folder: Path) -> list[str]:
    """Options for one epoch of each stage on a few images, with one validation at its end."""
    few = _few_of_training(config)
    if ids := _listed(config):
        short = folder / 'few.txt'
        short.write_text(''.join(f'{name}\n' for name in ids[:few]), encoding='utf-8')
        options = [f'train_dataloader.dataset.ann_file={short}']
    else:
        options = [f'+train_dataloader.dataset.indices={few}']
    if config.get('stages'):
        options += [f'stages.{index}.epochs=1' for index in range(len(config.stages))]
    else:
        options += ['train_cfg.max_epochs=1', '+train_cfg.val_interval=1']
    if config.get('val_dataloader'):
        options.append(f'+val_dataloader.dataset.indices={_few(config, "val")}')
    return options


def _training(config: Config, measured: _Measured) -> tuple[int, float]:
    """Images of an epoch, and seconds of the whole training without start-up.

    Times of waiting for a batch are averaged, because workers load the first batches of an epoch
    together; of computing times the median is taken, because the first step of a stage is slower.
    """
    images, epochs = _images(config, 'train'), _epochs(measured.moments)
    if config.get('stages'):
        lengths = [spec.epochs for spec in StagePlan(config.stages).specs]
    else:
        lengths = [config.train_cfg.max_epochs]
    total = 0.0
    for epoch, length, batch in zip(epochs, lengths, _batches(config), strict=True):
        steps = images // batch
        step = statistics.mean(epoch.waits) + statistics.median(epoch.computes)
        total += length * (steps * step + epoch.rest)
    if config.get('val_dataloader'):
        interval = config.train_cfg.get('val_interval', 1)
        times = len(lengths) + sum((length - 1) // interval for length in lengths)
        few = min(_few(config, 'val'), _images(config, 'val'))
        validating = statistics.mean(epoch.validating for epoch in epochs)
        total += times * validating * _images(config, 'val') / few
    return images, total


@dataclass
class _Epoch:
    waits: list[float]
    computes: list[float]
    rest: float = 0.0
    validating: float = 0.0


def _epochs(moments: Sequence[tuple[str, float]]) -> list[_Epoch]:
    """Seconds of the parts of each epoch."""
    epochs: list[_Epoch] = []
    for (before, start), (name, end) in zip(moments, moments[1:], strict=False):
        if name == 'before_train_epoch':
            epochs.append(_Epoch([], []))
        elif name == 'before_train_iter':
            epochs[-1].waits.append(end - start)
        elif name == 'after_train_iter':
            epochs[-1].computes.append(end - start)
        elif name == 'after_train_epoch':  # its checkpoint is written
            epochs[-1].rest = end - start
        elif name == 'after_val' and before == 'before_val':
            epochs[-1].validating = end - start
    return epochs


def _measure(step: Step, options: Sequence[str], folder: Path, number: int) -> _Measured:
    """Run a step with more options, and read the file of the hook."""
    times, log = folder / f'times_{number}.json', folder / f'forecast_{number}.log'
    command = [sys.executable, *step.command]
    if OPTIONS not in command:
        command.append(OPTIONS)
    hook = 'default_hooks.step_times'
    command += [*options, f'{hook}.type=StepTimesHook', f'{hook}.out={times}']
    start = time.monotonic()
    with open(log, 'wb') as output:
        process = start_child(command, output)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status or not times.is_file():
        raise RunError(
            f'step {step.name!r} fails on a few images already. The end of its output:\n'
            + end_of_log(log)
        )
    content: dict[str, Any] = read_json(times)
    moments = [(name, at) for name, at in content['moments']]
    return _Measured(moments, seconds, usage.ru_maxrss / 2**10, content['gpu_megabytes'])


def _rename_last_epoch(step: Step) -> None:
    """Rename the weights of one epoch to the step's output (``epoch_100.pth``)."""
    for output in step.outputs:
        short = output.with_name('epoch_1.pth')
        if output.name.startswith('epoch_') and short != output and short.is_file():
            short.rename(output)


def _disk(step: Step, tool: str, images: int) -> float:
    """Megabytes of the outputs and, for a training, its work folder; masks in proportion."""
    paths = [step.outputs[0].parent] if tool == 'train.py' else step.outputs
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob('*'))]
    sizes = [file.stat().st_size for file in files if file.is_file()]
    masks = sum(file.suffix == '.png' for file in files)
    return sum(sizes) / 2**20 * (images / masks if masks else 1)


def show_forecast(costs: Sequence[Cost], console: Console) -> None:
    """Print the costs as a table, their sum, and the options that lower them.

    Args:
        costs: Costs of every step.
        console: Where they are printed.
    """
    on_gpu = any(cost.gpu_megabytes for cost in costs)
    table = Table(title='Forecast for this machine, from a few steps of each')
    table.add_column('step')
    columns = ['images', 'time', 'memory', *(['GPU memory'] if on_gpu else []), 'disk']
    for column in columns:
        table.add_column(column, justify='right')
    for cost in costs:
        if cost.images is None:
            table.add_row(cost.name, *['not measured', *[''] * (len(columns) - 1)])
            continue
        gpu = [f'{cost.gpu_megabytes:.0f} MB'] if on_gpu else []
        memory = f'{cost.megabytes:.0f} MB'
        row = (str(cost.images), duration(cost.seconds), memory, *gpu)
        table.add_row(cost.name, *row, f'{cost.disk:.0f} MB')
    table.add_section()
    gpu = [f'{max(cost.gpu_megabytes for cost in costs):.0f} MB'] if on_gpu else []
    total = sum(cost.seconds for cost in costs)
    memory = f'{max(cost.megabytes for cost in costs):.0f} MB'
    disk = f'{sum(cost.disk for cost in costs):.0f} MB'
    table.add_row('all', '', duration(total), memory, *gpu, disk)
    console.print(table)
    console.print('What lowers each (docs/speed.md):', markup=False)
    for hint in _HINTS:
        console.print(f'- {hint}', markup=False)
