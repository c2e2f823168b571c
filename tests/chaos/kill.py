"""Kill runs of the demo, resume them, and compare their results with those of an unbroken run.

python tests/chaos/kill.py --kills 50 --seed 0
python tests/chaos/kill.py --kills 20 --target masks
python tests/chaos/kill.py --kills 10 --target pipeline

A run is started, killed (SIGKILL) at a random moment and started again with the same command, until
all kills are done and the last run is complete. Moments are random times and points of the program
(points.py). After each kill, files must be whole or have a temporary name; at the end of each run,
all files must equal those of the unbroken run, tensors bit for bit. Sometimes the last checkpoint
of a training is damaged before it is resumed.

Training and pseudo masks run in forks of this process, which saves the time of the imports. The
pipeline and its steps are ordinary processes.
"""

# ruff: noqa: E402 - the imports need the environment and the path
import os

os.environ['OMP_NUM_THREADS'] = '1'  # threads do not survive a fork

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import torch
from points import Board, Points
from rich.console import Console
from rich.table import Table
from run_tool import run_tool
from targets import ROOT, TARGETS

import semples_mmseg  # noqa: F401

TIME = 'time'
STEP = re.compile(r'\[\d+/\d+\]')
"""Begin of a line of ``run_pipeline.py`` about a step."""


class Failed(Exception):
    """A run did not survive a kill as it should."""


def fork(command, log, points, result):
    """Run a tool in this forked process, with its output in a file."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    points.install()
    code = run_tool(*command)
    result.send(points.counts)
    sys.stdout.flush()
    os._exit(code)


class Tool:
    """A run of a tool in a fork, until it ends or is killed."""

    def __init__(self, command, log, kind=None, number=0):
        self.board = Board()
        context = get_context('fork')
        self._receive, send = context.Pipe(duplex=False)
        arguments = (command, log, Points(self.board, kind, number), send)
        self.process = context.Process(target=fork, args=arguments)
        self.process.start()
        send.close()

    def wait(self, seconds=None):
        """Wait until the end or the timeout; return the exit code, None while it runs."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.join()

    def counts(self):
        """Number of moments of each kind in a complete run."""
        return self._receive.recv()

    def where(self):
        """What it did last."""
        return self.board.read()

    def pid(self):
        return self.process.pid


class Command:
    """A run of an ordinary process; only this process is killed, not its children."""

    def __init__(self, command, log, kind=None, number=0):
        self._log = log
        with open(log, 'ab') as file:
            self.process = subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd=log.parent,
                env=dict(os.environ, PYTHONPATH=str(ROOT)),
            )

    def wait(self, seconds=None):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def counts(self):
        return {}

    def where(self):
        """The last step that it printed."""
        lines = self._log.read_text(errors='replace').splitlines()
        steps = (line.strip('─ ') for line in reversed(lines) if STEP.search(line[:30]))
        return next(steps, 'start')

    def pid(self):
        return self.process.pid


def wait_for_session(pid, seconds=20):
    """Wait until no process of a killed run is left, since it could write beside the next run."""
    end = time.monotonic() + seconds
    while left := session(pid):
        if time.monotonic() > end:
            for process in left:
                os.kill(process, signal.SIGKILL)
            raise Failed(f'processes {left} of a killed run still ran after {seconds} s')
        time.sleep(0.02)


def session(leader):
    """Processes of a session."""
    found = []
    for path in Path('/proc').glob('[0-9]*'):
        try:
            state, _, _, own = (path / 'stat').read_text().rpartition(')')[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(own) == leader and state != 'Z':
            found.append(int(path.name))
    return found


class Harness:
    """Kills runs of one target.

    Args:
        target: See targets.py.
        folder: Folder of the runs.
        seed: Seed of the moments.
        console: Where progress is shown.
    """

    def __init__(self, target, folder, seed, console):
        self.target, self.folder, self.console = target, folder, console
        self.random = random.Random(seed)
        self.start = Command if target.kinds == (TIME,) else Tool
        self.kills, self.damages = Counter(), 0
        self.runs = 0

    def unbroken(self):
        """Run once without a kill, as the reference of results and duration."""
        run = self._fresh('whole')
        begin = time.monotonic()
        attempt = self._begin(run)
        self._succeed(attempt, attempt.wait(), run)
        self.seconds, self.counts = time.monotonic() - begin, attempt.counts()

    def break_runs(self, kills):
        """Kill runs this many times in all, and compare the results of each run."""
        left = kills
        while left:
            self.runs += 1
            run = self._fresh(f'run{self.runs}')
            left = self._break_run(run, left)
            differing = self.target.differences(run, self.folder / 'whole')
            if differing:
                raise Failed(f'{run} does not end as the unbroken run: {differing}')
            self.console.print(f'{run.name}: ends as the unbroken run; {left} kills left')
            shutil.rmtree(run)

    def _break_run(self, run, left):
        """Kill a run again and again until it completes; return the number of kills left."""
        while left:
            kind = self.random.choice(self.target.kinds)
            # At most half of a run, so that several kills fit into it.
            reach = max(1, self.counts.get(kind, 0) // 2)
            attempt = self._begin(run, kind, self.random.randint(1, reach))
            if kind == TIME:
                code = attempt.wait(self.random.uniform(0, self.seconds / 2))
                where = attempt.where()
                if code is None:
                    attempt.kill()
                    code = -signal.SIGKILL
            else:
                code, where = attempt.wait(), attempt.where()
            if code != -signal.SIGKILL:
                self._succeed(attempt, code, run)
                return left
            wait_for_session(attempt.pid())
            left -= 1
            self.kills[self.target.place(where), kind] += 1
            broken = self.target.broken(run)
            if broken:
                raise Failed(f'killed at {where}: {broken} in {run} are not whole')
            if self.random.random() < 0.2:
                self.damages += self.target.damage(run, self.random)
        attempt = self._begin(run)
        self._succeed(attempt, attempt.wait(), run)
        return 0

    def report(self):
        """Print a table of the kills."""
        table = Table(title=f'{sum(self.kills.values())} kills of {self.runs} runs')
        table.add_column('killed in')
        for kind in self.target.kinds:
            table.add_column(f'at a random {kind}' if kind == TIME else kind, justify='right')
        for place in dict.fromkeys(place for place, _ in self.kills):
            numbers = (self.kills[place, kind] for kind in self.target.kinds)
            table.add_row(place, *(str(number or '') for number in numbers))
        self.console.print(table)
        if self.damages:
            self.console.print(f'{self.damages} times the last checkpoint was damaged, too')

    def _begin(self, run, *point):
        return self.start(self.target.command(run), self._log(run), *point)

    def _succeed(self, attempt, code, run):
        if code != 0:
            tail = self._log(run).read_text(errors='replace')[-3000:]
            raise Failed(f'{run}: exit code {code} at {attempt.where()}\n{tail}')

    def _fresh(self, name):
        run = self.folder / name
        run.mkdir(parents=True)
        return run

    def _log(self, run):
        return self.folder / f'{run.name}.log'


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Kill runs of the demo and resume them')
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--seed', type=int, default=0, help='seed of the moments')
    parser.add_argument('--target', choices=list(TARGETS), default='train')
    parser.add_argument('--workers', type=int, default=0, help='loader workers of training')
    parser.add_argument('--folder', help='folder of the runs (default: a temporary folder)')
    return parser.parse_args()


def main():
    """Run the command."""
    args, console = parse_args(), Console()
    folder = Path(args.folder or tempfile.mkdtemp(prefix='kill-')).resolve()
    begin = time.monotonic()
    try:
        target = TARGETS[args.target](folder, args.workers)
        harness = Harness(target, folder / args.target, args.seed, console)
        if args.target == 'masks':
            Harness(TARGETS['train'](folder, 0), folder / 'train', 0, console).unbroken()
        harness.unbroken()
        console.print(f'unbroken: {harness.seconds:.1f} s, moments {dict(harness.counts)}')
        harness.break_runs(args.kills)
    except Failed as error:
        console.print(f'{error}\nfiles are left in {folder}', markup=False)
        sys.exit(1)
    harness.report()
    console.print(f'{time.monotonic() - begin:.0f} s')
    if not args.folder:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
