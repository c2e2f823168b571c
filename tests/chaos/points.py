"""Where a run can be killed, seen from inside the process."""

import functools
import os
import signal
from collections import Counter
from multiprocessing.sharedctypes import RawArray

from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop

from semples_mmseg.engine import StageSwitchHook

STEP, SWITCH, VALIDATION, PREDICTION = 'step', 'switch', 'validation', 'prediction'
WRITING, WRITTEN, RENAMED = 'writing', 'written', 'renamed'


class Board:
    """What a run is doing, for the process that is to kill it.

    The run writes, the other one reads: memory shared with a forked process.
    """

    def __init__(self):
        self._text = RawArray('c', 200)

    def write(self, text):
        self._text.value = text.encode()[:199]

    def read(self):
        return self._text.value.decode()


class Points:
    """Counts the moments of a run by kind, and kills it at one of them.

    Kinds: ``step``, ``validation`` and ``prediction`` are batches; ``switch`` is the beginning and
    the end of leaving and of entering a stage; ``writing`` is an output half in its temporary
    file, ``written`` the same file whole but not renamed, ``renamed`` the moment after that.

    Args:
        board: Where the run says what it does.
        kind: What to be killed at; None to count only.
        number: The how-manieth of them, from 1.
    """

    def __init__(self, board, kind=None, number=0):
        self.board, self.kind, self.number = board, kind, number
        self.counts = Counter()
        self.stage = 'start'

    def install(self):
        """Watch this process, for good."""
        board = self.board
        board.write('start')
        _around(EpochBasedTrainLoop, 'run_iter', lambda *_: self.reach(STEP))
        _around(ValLoop, 'run_iter', lambda *_: self.reach(VALIDATION))
        _around(TestLoop, 'run_iter', lambda *_: self.reach(PREDICTION))
        for name in ('_leave', '_enter'):
            _around(StageSwitchHook, name, self._switch, both=True)
        fsync, replace = os.fsync, os.replace

        def synced(descriptor):
            if self.is_next(WRITING):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            self.reach(WRITING)
            fsync(descriptor)

        def replaced(source, target):
            self.reach(WRITTEN, os.path.basename(target))
            replace(source, target)
            self.reach(RENAMED, os.path.basename(target))

        os.fsync, os.replace = synced, replaced

    def is_next(self, kind):
        """Whether the run is killed when it reaches a kind next time."""
        return self.kind == kind and self.counts[kind] + 1 == self.number

    def reach(self, kind, what=''):
        """Count a moment; be killed if it is the one."""
        last = self.is_next(kind)
        self.counts[kind] += 1
        self.board.write(' '.join(filter(None, (self.stage, kind, what))))
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _switch(self, hook, *_):
        if hook._current is not None:
            self.stage = hook.plan.specs[hook._current].name
        self.reach(SWITCH)


def _around(owner, name, act, both=False):
    """Have every call of a method begin, and maybe end, with something else."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*arguments, **options):
        act(*arguments)
        result = method(*arguments, **options)
        if both:
            act(*arguments)
        return result

    setattr(owner, name, wrapped)
