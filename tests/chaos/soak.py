"""Train on the demo for a long time and watch memory and open files.

python tests/chaos/soak.py --minutes 30

Stages (b) and (c) alternate, with loader workers, so that steps, checkpoints, validation and stage
switches are repeated. Every few seconds, memory (RSS) and open files of the training process and
memory of its workers are recorded. They should stay constant.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

ROOT = Path(__file__).parents[2]
PAGE = 4096 / 2**20
"""Megabytes."""
COLUMNS = ('seconds', 'memory', 'files', 'workers', 'workers_memory')
ROUNDS, EPOCHS_PER_MINUTE = 8, 5
"""Repetitions of the stages, and their length. More and shorter stages would lengthen the list of
stages in every checkpoint."""
CONFIG = """
_base_ = {base!r}
stages = _base_.stages[:2] + [dict(s, epochs={epochs}) for s in _base_.stages[2:]] * {rounds}
train_cfg = dict(val_interval=10)
train_dataloader = dict(num_workers={workers}, worker_init_fn=dict(type='seed_worker'))
"""


def processes():
    """Parent of every process."""
    found = {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            found[int(path.name)] = int((path / 'stat').read_text().rpartition(')')[2].split()[1])
        except (OSError, ValueError):
            continue
    return found


def memory(pid):
    """Resident memory of a process, megabytes."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * PAGE


def look(pid):
    """Memory and open files of the process, number of workers and their memory."""
    workers = [child for child, parent in processes().items() if parent == pid]
    used = []
    for worker in workers:
        try:
            used.append(memory(worker))
        except OSError:
            continue  # the worker has just ended
    files = len(list(Path(f'/proc/{pid}/fd').iterdir()))
    return memory(pid), files, len(used), sum(used)


def watch(process, seconds, interval, file):
    """Record a line every ``interval`` seconds; return all lines as an array."""
    lines, begin = [], time.monotonic()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    with Progress() as progress:
        task = progress.add_task('training', total=seconds)
        while (passed := time.monotonic() - begin) < seconds:
            if process.poll() is not None:
                raise RuntimeError(f'the training ended with exit code {process.returncode}')
            lines.append([passed, *look(process.pid)])
            writer.writerow([round(value, 2) for value in lines[-1]])
            file.flush()
            progress.update(task, completed=passed)
            time.sleep(interval)
    return np.array(lines)


def summarise(lines, warm_up):
    """Compare the first and the last third of the record after warming up."""
    lines = lines[lines[:, 0] >= warm_up]
    third = len(lines) // 3
    table = Table(title=f'{len(lines)} records after {warm_up:.0f} s of warming up')
    for name in ('', 'first third', 'last third', 'highest', 'slope'):
        table.add_column(name, justify='right' if name else 'left')
    named = dict(
        zip(
            COLUMNS[1:],
            ('memory (MB)', 'open files', 'loader workers', 'their memory (MB)'),
            strict=True,
        )
    )
    hours = lines[:, 0] / 3600
    for column, name in enumerate(named.values(), 1):
        values = lines[:, column]
        slope = np.polyfit(hours, values, 1)[0]
        table.add_row(
            name,
            f'{values[:third].mean():.1f}',
            f'{values[-third:].mean():.1f}',
            f'{values.max():.1f}',
            f'{slope:+.1f} an hour',
        )
    return table


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Watch a long training of the demo')
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--interval', type=float, default=5, help='seconds between two records')
    parser.add_argument('--workers', type=int, default=2, help='loader workers')
    parser.add_argument(
        '--data-root', help='folder of the demo world (default: a temporary folder)'
    )
    parser.add_argument('--record', default='work_dirs/soak.csv', help='CSV file of all records')
    return parser.parse_args()


def main():
    """Run the command."""
    args, console = parse_args(), Console()
    folder = Path(tempfile.mkdtemp(prefix='soak-'))
    config = folder / 'soak.py'
    base = str(ROOT / 'configs/semples/demo_refine.py')
    epochs = max(1, round(EPOCHS_PER_MINUTE * args.minutes))
    text = CONFIG.format(base=base, epochs=epochs, rounds=ROUNDS, workers=args.workers)
    config.write_text(text)
    data = args.data_root or str(folder / 'data')
    options = [f'{n}_dataloader.dataset.data_root={data}' for n in ('train', 'val', 'test')]
    command = [sys.executable, str(ROOT / 'tools/train.py'), str(config)]
    command += ['--work-dir', str(folder / 'run'), '--cfg-options', *options]
    record, log = Path(args.record), folder / 'log.txt'
    record.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'wb') as output, open(record, 'w', newline='') as file:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            lines = watch(process, 60 * args.minutes, args.interval, file)
        finally:
            process.terminate()
            process.wait()
    stages = len([*(folder / 'run').glob('*.pth')]) - len([*(folder / 'run').glob('epoch_*.pth')])
    epochs = log.read_text(errors='replace').count('Saving checkpoint at')
    # Without the first minutes: imports, drawing of the world and the first stages.
    console.print(summarise(lines, min(300, 60 * args.minutes / 3)))
    console.print(f'{epochs} epochs, {stages} stages; all records: {record}')
    shutil.rmtree(folder)


if __name__ == '__main__':
    main()
