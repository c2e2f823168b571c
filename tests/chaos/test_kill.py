"""A few kills; ``kill.py`` does many."""

import subprocess
import sys
from pathlib import Path


def test_a_killed_training_ends_as_an_unbroken_one(tmp_path):
    command = (sys.executable, Path(__file__).with_name('kill.py'), '--kills', '2')
    done = subprocess.run([*command, '--folder', tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'ends as the unbroken run' in done.stdout
    assert '2 kills: ' in done.stdout
