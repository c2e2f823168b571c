"""A few kills; ``kill.py`` does many."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_killed_training_ends_as_an_unbroken_one(tmp_path):
    command = (sys.executable, str(ROOT / 'tests/chaos/kill.py'), '--kills', '2')
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [*command, '--folder', str(tmp_path)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'ends as the unbroken run' in done.stdout
    assert '2 kills of' in done.stdout
