"""Train on the demo for a long time and watch memory and open files.

python tests/chaos/soak.py --minutes 30

Stages (b) and (c) alternate, with loader workers, so that steps, checkpoints, validation and stage
switches are repeated. Every few seconds, memory (RSS) and open files of the training process and
memory of its workers are recorded. They should stay constant.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PAGE = 4096 / 2**20
"""Megabytes."""
COLUMNS = ('seconds', 'memory (MB)', 'open files', 'loader workers', 'their memory (MB)')
ROUNDS, EPOCHS_PER_MINUTE = 8, 5
"""Repetitions of the stages, and their length. More and shorter stages would lengthen the list of
stages in every checkpoint."""
CONFIG = """
_base_ = {base!r}
stages = _base_.stages[:2] + [dict(s, epochs={epochs}) for s in _base_.stages[2:]] * {rounds}
train_cfg = dict(val_interval=10)
train_dataloader = dict(num_workers=2, worker_init_fn=dict(type='seed_worker'))
"""


def read(pid, file):
    """Words of a file of a process; none if it has just ended."""
    try:
        return Path(f'/proc/{pid}/{file}').read_text().rpartition(')')[2].split()
    except OSError:
        return []


def look(pid):
    """Memory and open files of the process, number of workers and their memory."""
    running = [int(path.name) for path in Path('/proc').glob('[0-9]*')]
    workers = [child for child in running if read(child, 'stat')[1:2] == [str(pid)]]
    used = [int(words[1]) * PAGE for child in (pid, *workers) if (words := read(child, 'statm'))]
    return used[0], len([*Path(f'/proc/{pid}/fd').iterdir()]), len(workers), sum(used[1:])


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description='Watch a long training of the demo')
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--interval', type=float, default=5, help='seconds between two records')
    parser.add_argument('--record', type=Path, default='work_dirs/soak.csv', help='CSV file')
    args = parser.parse_args()
    seconds, epochs = 60 * args.minutes, max(1, round(EPOCHS_PER_MINUTE * args.minutes))
    args.record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='soak-') as folder:
        config, data = Path(folder) / 'soak.py', Path(folder) / 'data'
        base = str(ROOT / 'configs/semples/demo_refine.py')
        config.write_text(CONFIG.format(base=base, epochs=epochs, rounds=ROUNDS))
        options = [f'{n}_dataloader.dataset.data_root={data}' for n in ('train', 'val', 'test')]
        command = [sys.executable, str(ROOT / 'tools/train.py'), str(config)]
        command += ['--work-dir', f'{folder}/run', '--cfg-options', *options]
        with open(f'{folder}/log', 'wb') as log, open(args.record, 'w', newline='') as file:
            writer, lines = csv.writer(file), []
            writer.writerow(COLUMNS)
            process, begin = subprocess.Popen(command, stdout=log, stderr=log), time.monotonic()
            try:
                while (passed := time.monotonic() - begin) < seconds:
                    if process.poll() is not None:
                        sys.exit(f'the training ended with exit code {process.returncode}')
                    lines.append([passed, *look(process.pid)])
                    writer.writerow([round(value, 2) for value in lines[-1]])
                    file.flush()
                    time.sleep(args.interval)
            finally:
                process.terminate()
                process.wait()
    # Without the first minutes: imports, drawing of the world and the first stages.
    values = np.array([line for line in lines if line[0] >= min(300, seconds / 3)])
    third = len(values) // 3
    print(f'{len(values)} records after warming up: first third, last third, highest, per hour')
    for column, name in enumerate(COLUMNS[1:], 1):
        own, hours = values[:, column], values[:, 0] / 3600
        numbers = own[:third].mean(), own[-third:].mean(), own.max(), np.polyfit(hours, own, 1)[0]
        print(f'{name:20}', *(f'{number:10.1f}' for number in numbers))


if __name__ == '__main__':
    main()
