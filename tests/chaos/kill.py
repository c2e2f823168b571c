"""Kill runs of the demo, resume them, and compare their results with those of an unbroken run.

python tests/chaos/kill.py --kills 9
python tests/chaos/kill.py --kills 9 --target masks
python tests/chaos/kill.py --kills 3 --target pipeline

A run is killed (SIGKILL) and started again with the same command, until all kills are done and the
last run is complete. It is killed at random times, and at random moments of its work: before and
after a step, a change of the stage, the renaming of a file, and with a file half written. After
each kill, files must be whole or have a temporary name; at the end of each run all files must equal
those of the unbroken run, tensors bit for bit.

Training and pseudo masks run in forks of this process, which saves the time of the imports.
"""

# ruff: noqa: E402 - the imports need the environment and the path
import os

os.environ['OMP_NUM_THREADS'] = '1'  # threads do not survive a fork

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT)]

import torch
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from PIL import Image
from run_tool import run_tool

import semples_mmseg
from semples_mmseg.engine import StagedTrainLoop
from semples_mmseg.utils.record import RECORD
from semples_mmseg.weights.latest_checkpoint import POINTER
from semples_mmseg.weights.reading import find_damage

LOADERS = ('train', 'val', 'test', 'pseudo_mask')
CONFIG = ROOT / 'configs/semples/demo_refine.py'
OUTPUTS = dict(
    train=('*.pth', '*.json', POINTER),
    masks=('*.json', '*.png'),
    pipeline=('*.json', 'grid.png', 'se*/*.pth', 'se*/*.json', 'pseudo_masks/[!.]*'),
)
"""Files of each target that must be whole at all times and equal at the end."""


def command(target, run):
    """Words of a target's command: of a short training that uses random numbers, and so on."""
    options = ['model.mask_generator.backbone.drop_path_rate=0.1', 'log_level=WARNING']
    options += [
        f'stages.{stage}.{key}' for stage in range(4) for key in ('epochs=2', 'batch_size=8')
    ]
    for loader in LOADERS:
        options += [f'{loader}_dataloader.dataset.{key}' for key in ('num_train=24', 'num_val=4')]
    data = run.parent / 'data'
    if target == 'pipeline':
        own = ('--work-dir', run, '--data-root', data, '--semples-options', *options)
        return [sys.executable, ROOT / 'tools/run_pipeline.py', 'demo', *own]
    options += [f'{loader}_dataloader.dataset.data_root={data}' for loader in LOADERS]
    if target == 'train':
        return ['train.py', CONFIG, '--work-dir', run, '--resume', '--cfg-options', *options]
    words = ('make_pseudo_masks.py', CONFIG, run.parent / 'trained/refine.pth', '--out', run)
    return [*words, '--work-dir', run.parent / 'test', '--cfg-options', *options]


def count_moments(counts, kind, number):
    """Count the moments of this process by kind, and kill it at one of them."""

    def reach(own, descriptor=None):
        counts[own] += 1
        if (own, counts[own]) == (kind, number):
            if descriptor is not None:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(owner, name, own):
        function = getattr(owner, name)

        def watched(*arguments, **options):
            reach(own, *(arguments if own == 'writing' else ()))
            result = function(*arguments, **options)
            reach(own)
            return result

        setattr(owner, name, watched)

    for loop in (EpochBasedTrainLoop, ValLoop, TestLoop):
        watch(loop, 'run_iter', 'step')
    watch(StagedTrainLoop, 'enter', 'stage')
    watch(StagedTrainLoop, '_end_stage', 'stage')
    watch(os, 'fsync', 'writing')
    watch(os, 'replace', 'renaming')


def work(target, run, log, kind, number, result):
    """Run the target in this forked process, with its output in a file."""
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    words = [str(word) for word in command(target, run)]
    if target == 'pipeline':
        os.execve(words[0], words, dict(os.environ, PYTHONPATH=str(ROOT)))
    torch.set_num_threads(1)
    counts = Counter()
    count_moments(counts, kind, number)
    code = run_tool(*words)
    result.send(counts)
    os._exit(code)


class Runs:
    """Runs of one target in a folder; ``counts`` are the moments of a complete one."""

    def __init__(self, target, folder):
        self.target, self.folder, self.counts, self.seconds = target, folder, Counter(), 0.0

    def start(self, run, kind='', number=0, seconds=None):
        """Start or continue a run; return whether it was killed.

        Args:
            run: Its folder.
            kind, number: Moment at which it kills itself.
            seconds: Time after which it is killed.
        """
        context, begin = get_context('fork'), time.monotonic()
        receive, send = context.Pipe(duplex=False)
        log = self.folder / f'{run.name}.log'
        process = context.Process(target=work, args=(self.target, run, log, kind, number, send))
        process.start()
        # join(seconds) would wait for the end of the pipeline, whose process has another program.
        while process.exitcode is None and time.monotonic() - begin < (seconds or 1e9):
            time.sleep(0.01)
        if process.exitcode is None:
            process.kill()
            process.join()
        end = time.monotonic() + 20
        while in_session(process.pid):  # a step could write beside the next run
            if time.monotonic() > end:
                sys.exit(f'steps of the killed run {run} still ran after 20 s')
            time.sleep(0.02)
        if process.exitcode == -signal.SIGKILL:
            return True
        if process.exitcode:
            sys.exit(f'{run}: exit code {process.exitcode}\n{log.read_text()[-3000:]}')
        if not kind and seconds is None and receive.poll():
            self.counts, self.seconds = receive.recv(), time.monotonic() - begin
        self.seconds = self.seconds or time.monotonic() - begin
        return False

    def files(self, run):
        """Outputs by their names, temporary files included."""
        found = {path for pattern in OUTPUTS[self.target] for path in run.glob(pattern)}
        return {str(path.relative_to(run)): path for path in found | {*run.glob('**/.*.tmp')}}

    def break_runs(self, kills, rng):
        """Kill runs this many times in all; return the number of kills of each kind."""
        whole, left, kinds = self.folder / 'whole', kills, Counter()
        self.start(whole)
        print(f'unbroken: {self.seconds:.1f} s, moments {dict(self.counts)}', flush=True)
        while left:
            run, killed = self.folder / f'run{kills - left}', True
            while killed:
                kind = rng.choice(['time', *self.counts]) if left else ''
                # At most half of a run, so that several kills fit into it.
                if kind == 'time':
                    killed = self.start(run, seconds=rng.uniform(0, self.seconds / 2))
                else:
                    killed = self.start(run, kind, rng.randint(1, self.counts[kind] // 2 + 1))
                left -= killed
                kinds[kind] += killed
                if broken := [n for n, p in self.files(run).items() if not is_whole(p)]:
                    sys.exit(f'killed at {kind}: {broken} in {run} are not whole')
            one, other = self.files(run), self.files(whole)
            differing = one.keys() ^ other.keys()
            differing |= {n for n in one.keys() & other if content(one[n]) != content(other[n])}
            if differing:
                sys.exit(f'{run} does not end as the unbroken run: {sorted(differing)}')
            print(f'{run.name} ends as the unbroken run; {left} kills left', flush=True)
            shutil.rmtree(run)
        return kinds


def in_session(leader):
    """Whether a process of a session runs."""
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, _, own = path.read_text().rpartition(')')[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(own) == leader and state != 'Z':
            return True
    return False


def is_whole(path):
    """Whether a file with a final name can be read."""
    try:
        if path.suffix == '.json':
            json.loads(path.read_text())
        elif path.suffix == '.png':
            with Image.open(path) as image:
                image.load()
        elif path.name == POINTER:
            return Path(path.read_text()).is_file()
    except (ValueError, OSError, SyntaxError):
        return False
    return path.suffix != '.pth' or find_damage(path) is None


def content(path):
    """What equal runs have equal: every tensor of a checkpoint, no times and no paths."""
    if path.suffix == '.pth':
        with zipfile.ZipFile(path) as archive:
            return [archive.read(name) for name in archive.namelist() if '/data/' in name]
    if path.name == POINTER:
        return Path(path.read_text()).name
    if path.name == RECORD:
        return {name: entry['settings'] for name, entry in json.loads(path.read_text()).items()}
    return path.read_bytes()


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description='Kill runs of the demo and resume them')
    parser.add_argument('--kills', type=int, default=9)
    parser.add_argument('--seed', type=int, default=0, help='seed of the moments')
    parser.add_argument('--target', choices=list(OUTPUTS), default='train')
    parser.add_argument('--folder', type=Path, help='folder of the runs (default: a new one)')
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix='kill-'))
    print(f'runs and logs: {folder}', flush=True)
    semples_mmseg.register_components()
    if args.target == 'masks':
        Runs('train', folder).start(folder / 'trained')
    kinds = Runs(args.target, folder).break_runs(args.kills, random.Random(args.seed))
    print(f'{args.kills} kills: {dict(+kinds)}')
    if not args.folder:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
