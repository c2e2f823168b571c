"""The time left: from lengths of steps and logs, on a terminal and without one."""

import io

import pytest
from rich.console import Console

from semples_mmseg.runs import time_left
from semples_mmseg.runs.time_left import Progress, logged_eta


def test_the_time_left_is_read_from_a_log():
    assert logged_eta('eta: 0:00:09\n... eta: 1 day, 2:03:04  time') == 93784
    assert logged_eta('no time') is None


@pytest.mark.parametrize('terminal', [True, False])
def test_step_percent_and_time_left_are_shown(terminal, monkeypatch):
    """The second step takes as long for its length as the first, until it logs its own time."""
    now = [0.0]
    monkeypatch.setattr(time_left.time, 'monotonic', lambda: now[0])
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=120)
    with Progress(console, [3, 3, 6]) as progress:

        def update(seconds, eta):
            now[0] = seconds
            progress.update(eta)
            if progress._status:
                progress._status._live.refresh()

        progress.begin('[1/3] one')
        update(10, None)
        update(70, 130)
        update(75, 125)
        update(140, 60)
        progress.finish(200)
        now[0] = 200
        progress.begin('[2/3] two')
        update(300, None)
        update(360, 240)
    shown = screen.getvalue()
    lines = [
        '[1/3] one',
        '[1/3] one: 9 %, 0:12:10 left',
        '[1/3] one: 18 %, 0:11:00 left',
        '[2/3] two',
        '[2/3] two: 38 %, 0:08:20 left',
        '[2/3] two: 30 %, 0:14:00 left',
    ]
    if terminal:
        assert all(line in shown for line in lines)
    else:  # a line a minute
        assert shown.splitlines() == lines
