"""Points of the program at which a run kills itself."""

import functools
import os
import signal
from collections import Counter
from multiprocessing.sharedctypes import RawArray

from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop

from semples_mmseg.engine import StagedTrainLoop

STEP, SWITCH, VALIDATION, PREDICTION = 'step', 'switch', 'validation', 'prediction'
WRITING, WRITTEN, RENAMED = 'writing', 'written', 'renamed'


class Board:
    """Text in shared memory: a forked run writes what it does, its parent reads it."""

    def __init__(self):
        self._text = RawArray('c', 200)

    def write(self, text):
        self._text.value = text.encode()[:199]

    def read(self):
        return self._text.value.decode()


class Points:
    """Counts the moments of a run by kind, and kills the run at one of them.

    Kinds: ``step``, ``validation`` and ``prediction`` are batches; ``switch`` is the beginning and
    the end of leaving and of entering a stage; ``writing`` is an output half in its temporary
    file, ``written`` the same file whole but not renamed, ``renamed`` the moment after that.

    Args:
        board: Where the run writes what it does.
        kind: Kind of the moment of the kill; None to count only.
        number: Number of that moment among those of its kind, from 1.
    """

    def __init__(self, board, kind=None, number=0):
        self.board, self.kind, self.number = board, kind, number
        self.counts = Counter()
        self.stage = 'start'

    def install(self):
        """Patch this process so that moments are counted."""
        board = self.board
        board.write('start')
        _around(EpochBasedTrainLoop, 'run_iter', lambda *_: self.reach(STEP))
        _around(ValLoop, 'run_iter', lambda *_: self.reach(VALIDATION))
        _around(TestLoop, 'run_iter', lambda *_: self.reach(PREDICTION))
        _around(StagedTrainLoop, 'enter', self._switch, both=True)
        _around(StagedTrainLoop, '_end_stage', self._switch, both=True)
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
        """Whether the next moment of this kind is that of the kill."""
        return self.kind == kind and self.counts[kind] + 1 == self.number

    def reach(self, kind, what=''):
        """Count a moment, and kill the run if it is the chosen one."""
        last = self.is_next(kind)
        self.counts[kind] += 1
        self.board.write(' '.join(filter(None, (self.stage, kind, what))))
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _switch(self, loop, *_):
        if loop.current is not None:
            self.stage = loop.plan.specs[loop.current].name
        self.reach(SWITCH)


def _around(owner, name, act, both=False):
    """Call ``act`` before each call of a method, and with ``both`` after it, too."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*arguments, **options):
        act(*arguments)
        result = method(*arguments, **options)
        if both:
            act(*arguments)
        return result

    setattr(owner, name, wrapped)
