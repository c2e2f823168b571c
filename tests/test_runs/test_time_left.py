"""The time left: from lengths of steps and logs, on a terminal and without one."""

import io

import pytest
from rich.console import Console

from semples_mmseg.runs import time_left
from semples_mmseg.runs.time_left import Progress, logged_eta, seconds_left


def test_steps_that_end_correct_the_time_left():
    lengths = [10, 30, 60]
    assert seconds_left(lengths, [], 2.0, None) is None
    assert seconds_left(lengths, [], 2.0, 8.0) == 8 + 90
    # twice as long as thought
    assert seconds_left(lengths, [20.0], 5.0, None) == 55 + 120
    assert seconds_left(lengths, [20.0], 5.0, 25.0) == pytest.approx(25 + 50 / 40 * 60)
    assert seconds_left(lengths, [20.0, 30.0], 0.0, 7.0) == 7


def test_the_time_left_is_read_from_a_log():
    assert logged_eta('eta: 0:00:09\n... eta: 1 day, 2:03:04  time') == 93784
    assert logged_eta('no time') is None


@pytest.mark.parametrize('terminal', [True, False])
def test_step_percent_and_time_left_are_shown(terminal, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time_left.time, 'monotonic', lambda: now[0])
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=120)
    with Progress(console, [3, 3]) as progress:
        progress.begin('[1/2] one')
        for seconds in (10.0, 70.0, 75.0, 140.0):
            now[0] = seconds
            progress.update(200.0 - seconds)
            if progress._status:
                progress._status._live.refresh()
        progress.finish(200.0)
        now[0] = 200.0
        progress.begin('[2/2] two')
        now[0] = 300.0
        progress.update(None)
    shown = screen.getvalue()
    assert '[1/2] one: 18 %, 0:05:30 left' in shown and '[2/2] two' in shown
    if not terminal:  # a line a minute
        assert shown.splitlines() == [
            '[1/2] one',
            '[1/2] one: 18 %, 0:05:30 left',
            '[1/2] one: 35 %, 0:04:20 left',
            '[2/2] two',
            '[2/2] two: 75 %, 0:01:40 left',
        ]


def test_without_lengths_it_is_that_of_the_step():
    console = Console(record=True, width=120)
    progress = Progress(console, [0, 0], plain=True)
    progress.begin('[1/2] one')
    progress._printed -= 60
    progress._start -= 60
    progress.update(60.0)
    assert '50 %, 0:01:00 left in this step' in console.export_text()
