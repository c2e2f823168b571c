"""The runner: steps one after another; what is complete is skipped, what was broken off continues.

What each result was made from stands in ``record.json`` of the run's folder (``utils/record.py``).
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..utils.console import plain_console
from ..utils.errors import AlreadyThere, Missing, Refusal, RunError
from ..utils.parallel import start_child
from ..utils.record import Record
from .recipe import Recipe, Step
from .time_left import Progress, logged_eta

TAIL = 20
"""Lines of the log that are shown when a step fails."""
WAY = 'choose another --work-dir'


def show_plan(recipe: Recipe, console: Console) -> None:
    """Print the steps and their states without running anything."""
    record = Record(recipe.folder, WAY)
    table = Table(title=f'The plan; results go to {recipe.folder}')
    for column in ('', 'step', 'images', 'epochs', 'state'):
        table.add_column(column, justify='right' if column == 'images' else 'left')
    reasons = []
    for number, step in enumerate(recipe.steps, 1):
        try:
            state = _state(record, recipe, step).removeprefix('new')
        except Missing:  # an input that an earlier step makes
            state = ''
        except Refusal as error:
            state = 'refused'
            reasons.append(str(error))
        images = step.images()
        shown = '' if images is None else str(images)
        table.add_row(str(number), step.name, shown, _epochs(step), state)
    console.print(table)
    for reason in reasons:
        console.print(reason)


def _epochs(step: Step) -> str:
    if step.tool != 'train.py':
        return ''
    stages = step.resolved.get('stages') or ()
    staged = ', '.join(f'{stage.name} {stage.epochs}' for stage in stages)
    return staged or str(step.resolved.train_cfg.max_epochs)


def run_steps(
    recipe: Recipe, console: Console | None = None, verbose: bool = False, way: str = WAY
) -> None:
    """Run the steps that are not complete, each in a process of its own.

    Their output goes to ``logs/NN-name.log`` in the folder of the run, whose lock the caller holds,
    and with ``verbose`` to the console. A terminal shows a line with the running step, the share
    done and the time left of all steps; without a terminal such a line is printed every minute.

    Raises:
        Refusal: If a result in the folder was made from something else, ``way`` says what to do, or
            a step that was never begun would write into a folder that holds files.
        RunError: If a step fails or does not write its outputs; complete steps stay complete.
    """
    console = console or plain_console()
    record = Record(recipe.folder, way)
    logs = recipe.folder / 'logs'
    logs.mkdir(parents=True, exist_ok=True)
    with Progress(console, [step.length for step in recipe.steps], plain=verbose) as progress:
        for number, step in enumerate(recipe.steps, 1):
            title = f'[{number}/{len(recipe.steps)}] {step.name}'
            state = _begin(record, recipe, step)
            if state == 'complete':
                progress.finish(record[step.name].about['seconds'])
                console.print(f'{title}: complete, skipped')
                continue
            slug = '-'.join(re.findall('[a-z0-9]+', step.name.lower()))
            log = logs / f'{number:02}-{slug}.log'
            progress.begin(title)
            start = time.monotonic()

            def show(text: str) -> None:
                if verbose:
                    console.out(text, end='', highlight=False)
                progress.update(logged_eta(text))

            resume = state == 'unfinished'
            code = _run([sys.executable, *step.command(resume=resume)], log, resume, show)
            _check(step, code, log)
            seconds = round(time.monotonic() - start, 1)
            record.finish(step.name, step.paths(step.outputs).values(), seconds=seconds)
            progress.finish(seconds)
            console.print(f'{title}: {seconds:.0f} s')
    console.print('all steps are complete')


def _state(record: Record, recipe: Recipe, step: Step) -> str:
    """State of a step: ``'new'``, ``'unfinished'``, ``'complete'`` or ``'anew'``.

    ``'anew'``: it was begun or made, and since then inputs that earlier steps of this run make have
    other content, and nothing else differs.
    """
    settings, inputs, given = step.settings(), step.paths(step.inputs), recipe.given(step)
    try:
        state = record.state(step.name, settings, inputs)
    except Refusal as error:
        if isinstance(error, Missing) or len(given) == len(inputs):
            raise
        record.state(step.name, settings, given, grows=True)
        return 'anew'
    folder = Path(step.fill(step.folder)) if step.folder else None
    if state == 'new' and folder and folder.is_dir() and any(folder.iterdir()):
        raise AlreadyThere(
            f'{folder} holds files that step {step.name!r} has not made: remove them, or '
            f'{record.way}'
        )
    return state


def _begin(record: Record, recipe: Recipe, step: Step) -> str:
    """Record that a step begins, unless it is complete; return its state before."""
    state, inputs = _state(record, recipe, step), step.paths(step.inputs)
    if state == 'anew':
        for path in step.paths([*{step.folder, *step.outputs} - {''}]).values():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    if state != 'complete':
        record.begin(step.name, step.settings(), inputs, anew=state == 'anew', gpus=step.gpus)
    return state


def _run(command: Sequence[str], log: Path, append: bool, show: Callable[[str], None]) -> int:
    """Run a command with its output in a log that is shown as it grows; return the exit code."""
    with open(log, 'ab' if append else 'wb') as output:
        begin = output.tell()
    with open(log, encoding='utf-8', errors='replace') as lines:
        lines.seek(begin)
        process = start_child(command, log)
        try:
            code: int | None = None
            while code is None:
                process.join(0.2)
                code = process.exitcode
                show(lines.read())
        except BaseException:
            process.terminate()
            process.join()
            raise
    return code


def _check(step: Step, code: int, log: Path) -> None:
    """Raise RunError if a step has failed, with the end of its log."""
    missing = [str(path) for path in step.paths(step.outputs).values() if not path.exists()]
    if not code and not missing:
        return
    reason = f'failed with exit code {code}' if code else f'did not write {", ".join(missing)}'
    again = 'Remove the cause and run the same command again: it continues with this step.'
    if not code and step.folder:
        again = f'To have it made anew, delete {step.fill(step.folder)}.'
    raise RunError(
        f'step {step.name!r} {reason}. The end of its log {log} (options in it are those of '
        f'{step.tool}):\n{end_of_log(log)}{again}'
    )


def end_of_log(log: Path) -> str:
    """The last ``TAIL`` lines of a log, indented."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()[-TAIL:]
    return ''.join(f'  {line}\n' for line in lines)
