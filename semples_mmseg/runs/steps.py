"""The runner: steps one after another; what is complete is skipped, what was broken off continues.

What each result was made from stands in ``record.json`` of the run's folder (``utils/record.py``).
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..utils.errors import AlreadyThere, Missing, Refusal, RunError
from ..utils.record import Record
from .child import start_child
from .recipe import Recipe, Step
from .time_left import Progress, logged_eta

TAIL = 20
"""Lines of the log that are shown when a step fails."""
WAY = 'choose another --work-dir'


class RunRecord:
    """What the steps of a run were made from.

    Args:
        recipe: The recipe.
        way: What a user can do where a result was made from something else.
    """

    def __init__(self, recipe: Recipe, way: str = WAY) -> None:
        self.recipe = recipe
        self.record = Record(recipe.folder, way)
        self.way = way

    def state(self, step: Step) -> str:
        """State of a step: ``'new'``, ``'unfinished'``, ``'complete'`` or ``'anew'``.

        ``'anew'``: it was begun or made, and since then inputs that earlier steps of this run make
        have other content, and nothing else differs.

        Raises:
            Refusal: If the step was made from something else; see ``Record.state``.
            AlreadyThere: If a step that was never begun would write into a folder that holds files.
        """
        settings, inputs = step.settings(), step.paths(step.inputs)
        try:
            state = self.record.state(step.name, settings, inputs)
        except Missing:
            raise
        except Refusal:
            made = self._made_before(step)
            rest = {name: path for name, path in inputs.items() if not _is_in(path, made)}
            if len(rest) == len(inputs):
                raise
            self.record.state(step.name, settings, rest, grows=True)
            return 'anew'
        if state == 'new' and step.folder:
            folder = Path(step.fill(step.folder))
            if folder.is_dir() and any(folder.iterdir()):
                raise AlreadyThere(
                    f'{folder} holds files that step {step.name!r} has not made: remove them, or '
                    f'{self.way}'
                )
        return state

    def begin(self, step: Step) -> str:
        """Record that a step begins, unless it is complete; return its state before."""
        state = self.state(step)
        if state == 'anew':
            for text in {step.folder, *step.outputs} - {''}:
                _remove(Path(step.fill(text)))
        self.record.begin(
            step.name,
            step.settings(),
            step.paths(step.inputs),
            anew=state == 'anew',
            gpus=step.gpus,
        )
        return state

    def finish(self, step: Step, seconds: float) -> None:
        """Record that a step is complete."""
        outputs = step.paths(step.outputs).values()
        self.record.finish(step.name, outputs, seconds=round(seconds, 1))

    def seconds(self, step: Step) -> float:
        """Seconds that a complete step took."""
        return self.record[step.name].about.get('seconds', 0.0)

    def _made_before(self, step: Step) -> list[Path]:
        """Outputs of the earlier steps."""
        steps = self.recipe.steps
        earlier = steps[: [one.name for one in steps].index(step.name)]
        return [path for one in earlier for path in one.paths(one.outputs).values()]


def _is_in(path: Path, folders: Iterable[Path]) -> bool:
    return any(folder in (path, *path.parents) for folder in folders)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def show_plan(recipe: Recipe, console: Console, way: str = WAY) -> None:
    """Print the steps and their states without running anything.

    Args:
        recipe: The recipe.
        console: Where the plan is printed.
        way: See ``RunRecord``.
    """
    record = RunRecord(recipe, way)
    table = Table(title=f'The plan; results go to {recipe.folder}')
    for column in ('', 'step', 'images', 'work', 'disk', 'state'):
        right = column in ('images', 'disk')
        table.add_column(column, justify='right' if right else 'left')
    total, reasons = 0.0, []
    for number, step in enumerate(recipe.steps, 1):
        images = step.images()
        disk = step.megabytes + step.image_megabytes * (images or 0)
        total += disk
        try:
            state = record.state(step)
        except Missing:  # an input that an earlier step makes
            state = 'new'
        except Refusal as error:
            state = 'refused'
            reasons.append(str(error))
        shown = '' if images is None else str(images)
        size = f'{disk:.0f} MB' if disk else ''
        shown_state = '' if state == 'new' else state
        table.add_row(str(number), step.name, shown, step.work or step.epochs(), size, shown_state)
    if total:
        table.add_section()
        table.add_row('', 'all', '', '', f'{total:.0f} MB', '')
    console.print(table)
    for reason in reasons:
        console.print(reason, markup=False)


def run_steps(
    recipe: Recipe, console: Console | None = None, verbose: bool = False, way: str = WAY
) -> None:
    """Run the steps that are not complete, each in a process of its own.

    Their output goes to ``logs/NN-name.log`` in the folder of the run. A terminal shows a line with
    the running step, the share done and the time left of all steps (of the running one, if lengths
    are not known); without a terminal such a line is printed every minute.

    Args:
        recipe: The recipe. The caller holds the lock of its folder.
        console: Where progress is shown.
        verbose: Show the output of the steps too.
        way: See ``RunRecord``.

    Raises:
        Refusal: If a result in the folder was made from something else.
        RunError: If a step fails or does not write its outputs; complete steps stay complete.
    """
    console = console or Console()
    record = RunRecord(recipe, way)
    logs = recipe.folder / 'logs'
    logs.mkdir(parents=True, exist_ok=True)
    lengths = [step.length for step in recipe.steps]
    with Progress(console, lengths, plain=verbose) as progress:
        for number, step in enumerate(recipe.steps, 1):
            title = f'[{number}/{len(recipe.steps)}] {step.name}'
            state = record.begin(step)
            if state == 'complete':
                progress.finish(record.seconds(step))
                console.print(f'{title}: complete, skipped', markup=False)
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
            seconds = time.monotonic() - start
            record.finish(step, seconds)
            progress.finish(seconds)
            console.print(f'{title}: {seconds:.0f} s', markup=False)
    console.print('all steps are complete')


def _run(command: Sequence[str], log: Path, append: bool, show: Callable[[str], None]) -> int:
    """Run a command with its output in a log that is shown as it grows; return the exit code."""
    with (
        open(log, 'ab' if append else 'wb') as output,
        open(log, encoding='utf-8', errors='replace') as lines,
    ):
        lines.seek(output.tell())
        process = start_child(command, output)
        try:
            running = True
            while running:
                running = process.poll() is None
                show(lines.read())
                time.sleep(0.2 if running else 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return process.returncode


def _check(step: Step, code: int, log: Path) -> None:
    missing = [str(path) for path in step.paths(step.outputs).values() if not path.exists()]
    if not code and not missing:
        return
    reason = f'failed with exit code {code}' if code else f'did not write {", ".join(missing)}'
    again = 'Remove the cause and run the same command again: it continues with this step.'
    if not code and step.folder:
        again = f'To have it made anew, delete {step.fill(step.folder)}.'
    raise RunError(
        f'step {step.name!r} {reason}. The end of its log {log}:\n{end_of_log(log)}{again}'
    )


def end_of_log(log: Path) -> str:
    """The last ``TAIL`` lines of a log, indented."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()[-TAIL:]
    return ''.join(f'  {line}\n' for line in lines)
