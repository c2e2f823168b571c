"""Importing the package leaves what others have registered as it was, and imports no more."""

import json
import subprocess
import sys

# MMCV's operators and MMPretrain's modules are registered on import, so these come first.
PROGRAM = """
import json, mmcv.transforms, mmengine, mmpretrain.models, mmseg.apis, mmseg.datasets, mmseg.models
import mmpretrain.registry, mmseg.registry, mmpretrain.datasets, mmpretrain.evaluation
import mmseg.engine, mmseg.evaluation, mmseg.visualization, mmengine.fileio.backends as fileio
from mmengine.registry import root, Registry
from mmengine.runner import CheckpointLoader

def entries():
    found = {f'scheme {k}': repr(v) for k, v in CheckpointLoader._schemes.items()}
    found |= {f'file backend {k}': repr(v) for k, v in fileio.backends.items()}
    found |= {f'file prefix {k}': repr(v) for k, v in fileio.prefix_to_backends.items()}
    for module in (root, mmseg.registry, mmpretrain.registry):
        for name, registry in vars(module).items():
            if isinstance(registry, Registry):
                for key, kind in registry.module_dict.items():
                    found[f'{module.__name__} {name} {key}'] = repr(kind)
    return found

before = entries()
import semples_mmseg
after = entries()
changed = [k for k in before if before[k] != after.get(k)]
import sys
late = [name for name in ('matplotlib', 'open_clip') if name in sys.modules]
print(json.dumps([len(before), changed, sorted(after.keys() - before.keys()), late]))
"""


def test_import_adds_names_and_changes_none():
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PROGRAM], capture_output=True, text=True, check=True
    )
    count, changed, added, late = json.loads(done.stdout.splitlines()[-1])
    assert count > 500 and not changed and not late
    assert {'scheme weights:', 'mmseg.registry MODELS SemPLeS'} <= set(added)
