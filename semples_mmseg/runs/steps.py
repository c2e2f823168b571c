"""Steps of a pipeline: commands that run one after another and are skipped when complete."""

import hashlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..utils.errors import RunError
from ..utils.files import file_digest, read_json
from ..utils.io import write_json
from .child import start_child
from .time_left import TimeLeft, duration, logged_eta

RECORD = 'pipeline.json'
OPTIONS = '--cfg-options'
"""The last option of a command, if it has it; settings follow."""
TAIL = 20
"""Lines of the log that are shown when a step fails."""


@dataclass(frozen=True)
class Step:
    """One command of a pipeline.

    Attributes:
        name: Unique within the pipeline.
        command: Arguments of the Python interpreter, the script first.
        inputs: Files and folders that the result depends on.
        outputs: Files and folders that the command writes.
        config: Config of the command, if any; the result depends on its settings.
        resume: Arguments added when an earlier run of this step was interrupted.
        fresh: Arguments added otherwise.
        resume_from: File that the command writes once it can resume. While it is unchanged since
            the step was started, an interrupted step starts again with ``fresh``: the file then
            belongs to an older run, perhaps with other settings.
        work: Amount of work, shown in the plan.
        megabytes: Approximate size of the outputs, shown in the plan.
        length: Length relative to the other steps, for the time left of all; 0 if it is not known.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    config: Path | None = None
    resume: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    resume_from: Path | None = None
    work: str = ''
    megabytes: float = 0.0
    length: float = 0.0

    @property
    def options(self) -> tuple[str, ...]:
        """Settings of the config in the command, ``key=value``."""
        return self.command[self.command.index(OPTIONS) + 1 :] if OPTIONS in self.command else ()


def digest(path: Path) -> str | None:
    """SHA-256 of a file's content, or of a folder's file names and sizes; ``None`` if missing."""
    if path.is_dir():
        # Files of the system and of locks begin with a dot.
        files = sorted(file for file in path.rglob('[!.]*') if file.is_file())
        names = '\n'.join(f'{file.relative_to(path)} {file.stat().st_size}' for file in files)
        return hashlib.sha256(names.encode()).hexdigest()
    if not path.is_file():
        return None
    return file_digest(path)


def _digests(paths: Sequence[Path]) -> dict[str, str | None]:
    return {str(path): digest(path) for path in paths}


def _version(path: Path | None) -> list[int] | None:
    """A value that changes whenever a file is replaced, even by one of the same content."""
    if path is None or not path.exists():
        return None
    return [path.stat().st_ino, path.stat().st_mtime_ns]


def _made_from(step: Step) -> dict[str, Any]:
    settings = None
    if step.config is not None:
        text = repr(Config.fromfile(step.config).to_dict())
        settings = hashlib.sha256(text.encode()).hexdigest()
    return dict(command=list(step.command), settings=settings, inputs=_digests(step.inputs))


class Record:
    """State of the steps, kept in a JSON file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steps: dict[str, Any] = read_json(path) if path.exists() else {}

    def state(self, step: Step, made_from: dict[str, Any] | None = None) -> str:
        """State of a step according to the record and the files.

        Args:
            step: The step.
            made_from: Its command, settings and inputs, if they are known already.

        Returns:
            ``complete`` if it ran with this command on these inputs and its outputs are unchanged,
            ``interrupted`` if it was started with these and can resume, otherwise an empty text.
        """
        entry = self.steps.get(step.name, {})
        if entry.get('made_from') != (made_from or _made_from(step)):
            return ''
        if 'outputs' in entry:
            return 'complete' if entry['outputs'] == _digests(step.outputs) else ''
        started = step.resume_from is None or entry['found'] != _version(step.resume_from)
        return 'interrupted' if started else ''

    def begin(self, step: Step) -> str:
        """Record that the step starts, unless it is complete, and return its previous `state`."""
        made_from = _made_from(step)  # once: inputs may be large
        state = self.state(step, made_from)
        if state == '':
            self._write(step, made_from, found=_version(step.resume_from))
        return state

    def complete(self, step: Step, seconds: float) -> None:
        """Record that the step is complete, with its inputs at the start."""
        made_from = self.steps[step.name]['made_from']
        self._write(step, made_from, outputs=_digests(step.outputs), seconds=round(seconds, 1))

    def _write(self, step: Step, made_from: dict[str, Any], **entry: Any) -> None:
        self.steps[step.name] = dict(made_from=made_from, **entry)
        write_json(self.path, self.steps)


def show_plan(steps: Sequence[Step], folder: Path, console: Console) -> None:
    """Print the steps and their states without running anything.

    Args:
        steps: In order.
        folder: Folder of the results.
        console: Where the plan is printed.
    """
    record = Record(folder / RECORD)
    table = Table(title=f'The plan; results go to {folder}')
    for column in ('', 'step', 'work', 'disk', 'state'):
        table.add_column(column, justify='right' if column == 'disk' else 'left')
    for number, step in enumerate(steps, 1):
        disk = f'{step.megabytes:.0f} MB' if step.megabytes else ''
        table.add_row(str(number), step.name, step.work, disk, record.state(step))
    total = sum(step.megabytes for step in steps)
    if total:
        table.add_section()
        table.add_row('', 'all', '', f'{total:.0f} MB', '')
    console.print(table)


def run_steps(
    steps: Sequence[Step], folder: Path, console: Console | None = None, verbose: bool = False
) -> None:
    """Run the steps that are not complete, each in a process of its own.

    Their output goes to ``<folder>/logs/NN-name.log``. On a terminal, a progress line shows the
    running step and the time left of all steps; of the running one, if lengths are not known.

    Args:
        steps: In order.
        folder: Folder of the record ``pipeline.json`` and of the logs.
        console: Where progress is shown.
        verbose: Show the output of the steps too.

    Raises:
        RuntimeError: If a step fails or does not write its outputs; complete steps stay complete.
    """
    console = console or Console()
    record = Record(folder / RECORD)
    (folder / 'logs').mkdir(parents=True, exist_ok=True)
    times = TimeLeft([step.length for step in steps])
    unit = 'left' if all(step.length for step in steps) else 'left in this step'
    columns = (
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn('{task.fields[left]}'),
    )
    hidden = verbose or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task('', total=None, left='')
        for number, step in enumerate(steps):
            title = f'[{number + 1}/{len(steps)}] {step.name}'
            progress.update(task, description=title, left='')
            state = record.begin(step)
            if state == 'complete':
                times.finish(number, record.steps[step.name]['seconds'])
                console.print(f'{title}: complete, skipped', markup=False)
                continue
            slug = '-'.join(re.findall('[a-z0-9]+', step.name.lower()))
            log = folder / 'logs' / f'{number + 1:02}-{slug}.log'
            if hidden:
                console.print(title, markup=False)
            resumed = state == 'interrupted'
            command = [*step.command, *(step.resume if resumed else step.fresh)]
            start = time.monotonic()
            ends: float | None = None

            def show(text: str, number: int = number, start: float = start) -> None:
                nonlocal ends
                if verbose:
                    console.out(text, end='', highlight=False)
                now = time.monotonic()
                if (eta := logged_eta(text)) is not None:
                    ends = now + eta
                own = None if ends is None else max(ends - now, 0)
                if (left := times.seconds(number, now - start, own)) is not None:
                    spent = times.spent + now - start
                    progress.update(task, total=spent + left, completed=spent)
                    progress.update(task, left=f'{duration(left)} {unit}')

            code = _run([sys.executable, *command], log, 'ab' if resumed else 'wb', show)
            _check(step, code, log)
            times.finish(number, time.monotonic() - start)
            record.complete(step, time.monotonic() - start)
            console.print(f'{title}: {time.monotonic() - start:.0f} s', markup=False)
    console.print('all steps are complete')


def _run(command: Sequence[str], log: Path, mode: str, show: Callable[[str], None]) -> int:
    """Run a command with its output in a log that is shown as it grows; return the exit code."""
    with open(log, mode) as output, open(log, encoding='utf-8', errors='replace') as lines:
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
    missing = [str(path) for path in step.outputs if digest(path) is None]
    if not code and not missing:
        return
    reason = f'failed with exit code {code}' if code else f'did not write {", ".join(missing)}'
    raise RunError(
        f'step {step.name!r} {reason}. The end of its log {log}:\n'
        + end_of_log(log)
        + 'Remove the cause and run the same command again: it continues with this step.'
    )


def end_of_log(log: Path) -> str:
    """The last ``TAIL`` lines of a log, indented."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()[-TAIL:]
    return ''.join(f'  {line}\n' for line in lines)
