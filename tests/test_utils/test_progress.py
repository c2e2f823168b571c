"""Progress of long work."""

from semples_mmseg.utils.progress import progress


def test_items_pass_and_nothing_is_shown_without_a_terminal(capfd):
    assert list(progress(iter('abc'), 'work', 3)) == ['a', 'b', 'c']
    assert capfd.readouterr() == ('', '')


def test_a_terminal_sees_what_is_done_and_how_much(monkeypatch, capfd):
    monkeypatch.setenv('FORCE_COLOR', '1')  # rich takes it for a terminal
    assert list(progress('abc', 'work [1]')) == ['a', 'b', 'c']
    output, shown = capfd.readouterr()
    assert output == '' and 'work [1]' in shown and '3/3' in shown
