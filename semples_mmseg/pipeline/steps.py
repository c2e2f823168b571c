"""Steps of a pipeline: separate processes, run in order, skipped when complete."""

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from ..utils import atomic_write
from .child import run_child


@dataclass(frozen=True)
class Step:
    """One command of a pipeline.

    Attributes:
        name: What it does, for people.
        command: Arguments for the Python interpreter, the script first.
        inputs: Files whose content decides whether an earlier result still holds.
        outputs: Files that must be there afterwards; a folder counts by its list of files.
        config: Config of the command, if it has one: its settings, bases included, decide too.
        seconds: Expected duration, for the time left; 0 where nobody can know.
        resume: Arguments to add when an earlier try at the same thing was broken off.
        goes_on_from: File that a try renews as soon as it leaves something to go on from. Where
            there is one, a try that was broken off before that is not resumed: what lies there is
            of an older run, maybe of other settings.
        fresh: Arguments to add otherwise.
        work: What there is to do, for the plan.
        megabytes: About what it leaves on the disk, for the plan.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    config: Path | None = None
    seconds: float = 0.0
    resume: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    goes_on_from: Path | None = None
    work: str = ''
    megabytes: float = 0.0


def digest(path: Path) -> str | None:
    """SHA-256 of a file's content, or of a folder's file names and sizes; ``None`` if missing."""
    if path.is_dir():
        files = sorted(file for file in path.rglob('*') if file.is_file())
        listing = '\n'.join(f'{file.relative_to(path)} {file.stat().st_size}' for file in files)
        return hashlib.sha256(listing.encode()).hexdigest()
    if not path.is_file():
        return None
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def _wanted(step: Step) -> dict[str, Any]:
    """What a complete step was made from."""
    settings = None
    if step.config is not None:
        text = repr(Config.fromfile(step.config).to_dict())
        settings = hashlib.sha256(text.encode()).hexdigest()
    return dict(
        command=list(step.command),
        settings=settings,
        inputs={str(path): digest(path) for path in step.inputs},
    )


def _version(path: Path | None) -> list[int] | None:
    """What tells a file from the one that replaces it, even if their content is the same."""
    if path is None or not path.exists():
        return None
    stat = path.stat()
    return [stat.st_ino, stat.st_mtime_ns]


class Record:
    """Which steps are complete, kept in a JSON file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding='utf-8') if path.exists() else '{}'
        self.steps: dict[str, Any] = json.loads(text)

    def is_complete(self, step: Step) -> bool:
        """Whether a step was run with this command on these inputs and its results are intact."""
        entry = self.steps.get(step.name)
        if entry is None or entry['made_from'] != _wanted(step):
            return False
        return entry.get('outputs') == {str(path): digest(path) for path in step.outputs}

    def was_begun(self, step: Step) -> bool:
        """Whether an earlier try at the same thing was broken off and can be gone on from."""
        entry = self.steps.get(step.name)
        if entry is None or 'outputs' in entry or entry['made_from'] != _wanted(step):
            return False
        return step.goes_on_from is None or entry.get('found') != _version(step.goes_on_from)

    def _write(self, step: Step, **entry: Any) -> None:
        self.steps[step.name] = dict(made_from=_wanted(step), **entry)
        with atomic_write(self.path) as file:
            json.dump(self.steps, file, indent=2)

    def begin(self, step: Step) -> None:
        """Note that a step is running, and what an older run has left to go on from."""
        again = self.was_begun(step)
        found = self.steps[step.name].get('found') if again else _version(step.goes_on_from)
        self._write(step, started=time.time(), found=found)

    def complete(self, step: Step, seconds: float) -> None:
        """Note that a step is complete."""
        outputs = {str(path): digest(path) for path in step.outputs}
        self._write(step, outputs=outputs, seconds=round(seconds, 1))


def show_plan(steps: Sequence[Step], folder: Path, console: Console) -> None:
    """Print what there is to do, and what is complete already, without doing it.

    Args:
        steps: In order.
        folder: Where the record ``pipeline.json`` is kept.
        console: Where the plan goes.
    """
    record = Record(folder / 'pipeline.json')
    table = Table(title=f'The plan; results go to {folder}')
    for column in ('', 'step', 'work', 'disk', 'state'):
        table.add_column(column, justify='right' if column == 'disk' else 'left')
    for index, step in enumerate(steps):
        begun = 'begun' if record.was_begun(step) else ''
        state = 'complete' if record.is_complete(step) else begun
        disk = f'{step.megabytes:.0f} MB' if step.megabytes else ''
        table.add_row(str(index + 1), step.name, step.work, disk, state)
    table.add_section()
    table.add_row('', 'all', '', f'{sum(step.megabytes for step in steps):.0f} MB', '')
    console.print(table)


def run_steps(steps: Sequence[Step], folder: Path, console: Console | None = None) -> None:
    """Run the steps that are not complete, one process after another.

    Args:
        steps: In order.
        folder: Where the record ``pipeline.json`` is kept.
        console: Where progress is shown.

    Raises:
        RuntimeError: If a step fails or does not leave what it should; what is complete stays.
    """
    console = console or Console()
    record = Record(folder / 'pipeline.json')
    begun = time.monotonic()
    for index, step in enumerate(steps):
        title = f'[{index + 1}/{len(steps)}] {step.name}'
        if record.is_complete(step):
            console.print(f'{title}: complete, skipped', style='dim')
            continue
        left = sum(later.seconds for later in steps[index:])
        console.rule(f'{title} (about {left:.0f} s to the end)' if left else title, style='bold')
        extra = step.resume if record.was_begun(step) else step.fresh
        record.begin(step)
        start = time.monotonic()
        code = run_child([sys.executable, *step.command, *extra])
        if code:
            raise RuntimeError(
                f'step {step.name!r} failed with exit code {code}; the same command goes on from '
                f'there once the cause is mended: python {" ".join(step.command)}'
            )
        missing = [str(path) for path in step.outputs if digest(path) is None]
        if missing:
            raise RuntimeError(f'step {step.name!r} did not write {", ".join(missing)}')
        record.complete(step, time.monotonic() - start)
    console.rule(f'done in {time.monotonic() - begun:.0f} s', style='bold')
