"""The bounded queue of worker processes, and the progress of long work."""

import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from semples_mmseg.utils import parallel
from semples_mmseg.utils.parallel import (
    ITEMS_PER_WORKER,
    WorkerPool,
    parallel_map,
    progress,
    usable_cores,
)


def test_results_in_order_from_other_processes_and_a_bounded_queue():
    pool = WorkerPool(operator.floordiv, 1)
    done, longest = [], 0
    for number in range(12):
        done += pool.put(12 * number, 12)
        longest = max(longest, number + 1 - len(done))
    assert longest <= 2  # twice the workers
    assert done + pool.wait() == list(range(12))
    pool.close()


def process_of(item):
    return item, os.getpid()


def test_a_map_keeps_the_order_and_starts_processes_for_many_items_alone():
    for number, num_workers in ((2 * ITEMS_PER_WORKER - 1, None), (2 * ITEMS_PER_WORKER, 1)):
        results = list(parallel_map(process_of, range(number), num_workers))
        assert results == [(index, os.getpid()) for index in range(number)]
    with WorkerPool(operator.floordiv, 0) as pool:
        assert pool.put(7, 2) == [3] and pool.wait() == []
    results = list(parallel_map(process_of, range(2 * ITEMS_PER_WORKER), 2))
    assert [item for item, _ in results] == list(range(2 * ITEMS_PER_WORKER))
    assert os.getpid() not in {process for _, process in results}
    with pytest.raises(ValueError, match='`num_workers` must be 0 or more, got -1'):
        list(parallel_map(process_of, range(3), -1))


def test_an_error_of_a_task_is_raised_and_ends_the_workers():
    pool = WorkerPool(operator.floordiv, 1)
    pool.put(1, 0)
    with pytest.raises(ZeroDivisionError):
        pool.wait()
    with pytest.raises(RuntimeError, match='after shutdown'):
        pool.put(1, 1)


def test_a_killed_worker_is_one_clear_error():
    pool = WorkerPool(eval, 1)
    pool.put('__import__("os").kill(__import__("os").getpid(), 9)')
    with pytest.raises(RuntimeError, match='worker process was killed.*num_workers'):
        pool.wait()


def test_ctrl_c_does_not_wait_for_the_tasks(tmp_path):
    code = (
        'from semples_mmseg.utils.parallel import WorkerPool\n'
        'with WorkerPool(eval, 1) as pool:\n'  # the script is not run again in the worker
        "    pool.put(\"print('mmseg' in __import__('sys').modules, flush=True) or"
        " __import__('time').sleep(600)\")\n"
        '    pool.wait()\n'
    )
    (tmp_path / 'long.py').write_text(code)
    process = subprocess.Popen(
        [sys.executable, tmp_path / 'long.py'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # as in a terminal, the signal goes to the whole group
    )
    assert process.stdout.readline() == 'False\n'  # a worker imports what its function needs
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode != 0 and 'KeyboardInterrupt' in error


def test_a_worker_ends_when_its_parent_is_gone(monkeypatch):
    reader, writer = os.pipe()  # a sentinel is the end of a pipe whose other end the parent holds
    codes = []
    monkeypatch.setattr(multiprocessing, 'parent_process', lambda: SimpleNamespace(sentinel=reader))
    monkeypatch.setattr(os, 'kill', lambda process, number: codes.append(number))
    watch = threading.Thread(target=parallel._end_with_parent)
    watch.start()
    watch.join(0.1)
    assert watch.is_alive() and not codes
    os.close(writer)
    watch.join(5)
    os.close(reader)
    assert codes == [signal.SIGTERM]


def test_cores_are_shared_by_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(9), raising=False)
    assert usable_cores() == 9
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    assert usable_cores() == 2
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '64')
    assert usable_cores() == 1


def test_without_a_terminal_a_line_comes_every_minute(monkeypatch, capfd):
    times = iter([0.0, 10.0, 59.0, 61.0, 62.0, 200.0])
    monkeypatch.setattr(parallel.time, 'monotonic', lambda: next(times))
    assert list(progress(iter('abcde'), 'work', 5)) == list('abcde')
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(',')[0] for line in lines] == ['work: 2 of 5', 'work: 4 of 5']
    assert '2 min left' in lines[0]
