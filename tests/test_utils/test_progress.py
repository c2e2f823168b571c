"""Progress of long work."""

from semples_mmseg.utils import progress as module
from semples_mmseg.utils.progress import progress


def test_short_work_without_a_terminal_says_nothing(capfd):
    assert list(progress(iter('abc'), 'work', 3)) == ['a', 'b', 'c']
    assert capfd.readouterr() == ('', '')


def test_without_a_terminal_a_line_comes_every_minute(monkeypatch, capfd):
    times = iter([0.0, 10.0, 59.0, 61.0, 62.0, 200.0])
    monkeypatch.setattr(module.time, 'monotonic', lambda: next(times))
    assert list(progress(iter('abcde'), 'work', 5)) == list('abcde')
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(',')[0] for line in lines] == ['work: 2 of 5', 'work: 4 of 5']
    assert '2 min left' in lines[0]


def test_a_terminal_sees_what_is_done_and_how_much(monkeypatch, capfd):
    monkeypatch.setenv('FORCE_COLOR', '1')  # rich takes it for a terminal
    assert list(progress('abc', 'work [1]')) == ['a', 'b', 'c']
    output, shown = capfd.readouterr()
    assert output == '' and 'work [1]' in shown and '3/3' in shown
