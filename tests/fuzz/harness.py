"""Running a loader over many hostile or damaged files, in processes that may die of them.

An input is made from a seed of its own, so one that is reported can be made again:
``make_input(random.Random(f'{name}/{seed}/{number}'))``. It is loaded in a forked process with
limits on time and memory and an audit hook that notes whatever only running code would do.
"""

import argparse
import ctypes
import faulthandler
import json
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

LOADED = 'loaded'
# What no reader of data does, by the names that Python gives to audit hooks.
_ACTS = (
    'os.system', 'os.exec', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'os.spawn', 'os.kill',
    'os.remove', 'os.rename', 'os.rmdir', 'os.mkdir', 'os.chmod', 'os.link', 'os.symlink',
    'os.truncate', 'os.putenv', 'subprocess.Popen', 'pty.spawn', 'shutil.', 'socket.connect',
    'socket.bind', 'socket.getaddrinfo', 'ctypes.', 'code.__new__', 'webbrowser.open', 'ftplib.',
    'urllib.Request', 'pickle.find_class', 'builtins.input', 'builtins.breakpoint',
    'signal.pthread_kill', 'sys.settrace', 'sys.setprofile', 'tempfile.',
)  # fmt: skip
_LIBC = ctypes.CDLL(None)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_OUT_OF_MEMORY = ('allocate memory', 'not enough memory', 'out of memory', 'bad_alloc', 'bad alloc')


@dataclass(frozen=True)
class Limits:
    """What loading one input may take.

    Attributes:
        memory: Bytes of resident memory, beyond what the process had before.
        reserved: Bytes of address space beyond that; a size that a file merely claims ends here.
        cpu: Seconds of computing.
        wall: Seconds altogether; longer, for the machine may be busy.
    """

    memory: int = 64 << 20
    reserved: int = 1 << 30
    cpu: float = 5.0
    wall: float = 60.0


class Findings(Counter):
    """Outcomes by kind: :data:`LOADED`, the names of allowed errors, and bugs.

    Attributes:
        bugs: (number of the input, what happened), for everything but loading and allowed errors.
        peak: Most bytes that any input took.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bugs: list[tuple[int, str]] = []
        self.peak = 0

    def add(self, number: int, kind: str, bug: str | None, peak: int) -> None:
        """Count an outcome."""
        self[kind] += 1
        self.peak = max(self.peak, peak)
        if bug is not None:
            self.bugs.append((number, f'{kind}: {bug}'))

    def __str__(self) -> str:
        kinds = ', '.join(f'{kind} {count}' for kind, count in self.most_common())
        return f'{sum(self.values())} inputs: {kinds}; peak {self.peak / 2**20:.0f} MiB'


def run(
    name: str,
    make_input: Callable[[random.Random], bytes | Path],
    load: Callable[[Path], Any],
    allowed: tuple[type[Exception], ...],
    limits: Limits = Limits(),
    *,
    inputs: int | Sequence[int] = 1000,
    seed: int = 0,
    suffix: str = '',
    names_file: bool = True,
) -> Findings:
    """Load inputs one after another and count what happens.

    Args:
        name: Of the loader.
        make_input: Bytes of a file, or the path of one, from a generator of random numbers.
        load: The loader.
        allowed: Errors it may raise; of just these classes or of their subclasses.
        limits: For each input.
        inputs: How many, or the numbers of just those to be tried (again).
        seed: Changes all inputs.
        suffix: Of the file's name.
        names_file: Whether an error's message must contain the name of the file.

    Returns:
        The outcomes. Those of ``findings.bugs`` are: another error, one that does not name the
        file, a hang, a dead process, too much memory, and anything done that only code does.
    """
    numbers = list(range(inputs) if isinstance(inputs, int) else inputs)
    findings = Findings()
    while numbers:
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', DeprecationWarning)  # fork beside threads
            child = os.fork()
        if child == 0:
            os.close(reader)
            _work(
                writer, name, make_input, load, allowed, limits, numbers, seed, suffix, names_file
            )
        os.close(writer)
        begun = None
        with os.fdopen(reader) as lines:
            for line in lines:
                number, *outcome = json.loads(line)
                if not outcome:
                    begun = number
                    continue
                findings.add(number, *outcome)
                begun = None
                numbers.remove(number)
        _, status = os.waitpid(child, 0)
        if begun is None and status:
            raise RuntimeError(f'{name}: the harness itself failed, status {status}')
        if begun is not None:
            findings.add(begun, *_death(status), 0)
            numbers.remove(begun)
    return findings


def _death(status: int) -> tuple[str, str]:
    """Kind and account of the end of a process in the middle of an input."""
    number = os.waitstatus_to_exitcode(status)
    if -number in (signal.SIGPROF, signal.SIGALRM):
        return 'hang', 'more time than allowed'
    how = signal.Signals(-number).name if number < 0 else f'exit code {number}'
    return 'crash', f'the process ended with {how}'


def _work(
    writer: int,
    name: str,
    make_input: Callable[[random.Random], bytes | Path],
    load: Callable[[Path], Any],
    allowed: tuple[type[Exception], ...],
    limits: Limits,
    numbers: list[int],
    seed: int,
    suffix: str,
    names_file: bool,
) -> None:
    """Load inputs in this process, report each, and exit."""
    code = 1
    try:
        faulthandler.disable()  # pytest's; a crash is reported as such
        torch.set_num_threads(1)
        acts: list[str] = []
        armed = _watch(acts)
        with tempfile.TemporaryDirectory() as folder, os.fdopen(writer, 'w', 1) as out:
            for number in numbers:
                made = make_input(random.Random(f'{name}/{seed}/{number}'))
                path = made if isinstance(made, Path) else Path(folder) / f'input{suffix}'
                if isinstance(made, bytes):
                    path.write_bytes(made)
                print(json.dumps([number]), file=out)
                acts.clear()
                error, peak = _load_one(load, path, limits, armed)
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    acts.append(type(error).__name__)
                outcome = _judge(error, peak, acts, allowed, limits, path if names_file else None)
                print(json.dumps([number, *outcome, peak]), file=out)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _load_one(
    load: Callable[[Path], Any], path: Path, limits: Limits, armed: dict[str, bool]
) -> tuple[BaseException | None, int]:
    """Load a file within limits; the error if there is one, and the memory it took at most."""
    error: BaseException | None = None
    _LIBC.malloc_trim(0)  # or else memory that earlier inputs have freed is used again unseen
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak of before
    before = _memory('VmHWM')
    room = _memory('VmSize') + limits.memory + limits.reserved
    usual = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (room, usual[1]))
    signal.setitimer(signal.ITIMER_PROF, limits.cpu)
    signal.setitimer(signal.ITIMER_REAL, limits.wall)
    armed['now'] = True
    try:
        load(path)
    except BaseException as raised:
        error = raised
    finally:
        armed['now'] = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, usual)
    return error, max(0, _memory('VmHWM') - before)


def _judge(
    error: BaseException | None,
    peak: int,
    acts: list[str],
    allowed: tuple[type[Exception], ...],
    limits: Limits,
    path: Path | None,
) -> tuple[str, str | None]:
    """Kind of an outcome, and what is wrong with it if anything is."""
    told = f'{type(error).__name__}: {error}'[:300] if error is not None else 'it was loaded'
    if acts:
        return 'code ran', f'{", ".join(acts[:5])} ({told})'
    if peak > limits.memory:
        return 'memory', f'{peak / 2**20:.0f} MiB ({told})'
    if error is None:
        return LOADED, None
    for cause in _causes(error):
        text = str(cause).lower()
        if isinstance(cause, MemoryError) or any(words in text for words in _OUT_OF_MEMORY):
            return 'memory', f'more than there is room for ({told})'
    if not isinstance(error, allowed):
        last = traceback.extract_tb(error.__traceback__)[-1]
        return 'other error', f'{told} in {last.filename}:{last.lineno}'
    if path is not None and path.name not in str(error):
        return 'unnamed', f'the message does not name the file: {told}'
    return type(error).__name__, None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _memory(field: str) -> int:
    """Bytes in a line of this process's ``/proc/self/status``."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f'/proc/self/status has no {field}; the harness needs Linux')


def _watch(acts: list[str]) -> dict[str, bool]:
    """Note in ``acts`` what code would do from now on; while the returned ``'now'`` is true."""
    armed = dict(now=False)

    def hook(event: str, args: tuple) -> None:
        if not armed['now']:
            return
        if event.startswith(_ACTS):
            acts.append(f'{event}{args!r}'[:200])
        elif event == 'open' and isinstance(args[2], int) and args[2] & _WRITING:
            acts.append(f'open{args!r}'[:200])
        elif event == 'exec' and not os.path.isfile(getattr(args[0], 'co_filename', '')):
            acts.append(f'exec{args!r}'[:200])  # the code of an imported module has a file

    sys.addaudithook(hook)
    return armed


def report(findings: Mapping[str, Findings], show: int = 10) -> int:
    """Print findings by the loaders' names and return an exit code: 1 if there are bugs."""
    for name, found in findings.items():
        print(f'{name}: {found}')
        for number, bug in found.bugs[:show]:
            print(f'  BUG, input {number}: {bug}')
    return int(any(found.bugs for found in findings.values()))


def command(description: str, fuzz: Callable[[int, int], Mapping[str, Findings]]) -> int:
    """Read ``--inputs`` and ``--seed``, fuzz, report; the exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--inputs', type=int, default=1000, help='how many for each loader')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    return report(fuzz(args.inputs, args.seed))
