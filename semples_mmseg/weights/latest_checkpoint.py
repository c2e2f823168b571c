"""The checkpoint to resume from: the last one that is not damaged."""

import logging
import math
import re
from pathlib import Path

from mmengine.logging import print_log

from ..utils.errors import Refusal
from .reading import find_damage

POINTER = 'last_checkpoint'
"""MMEngine's file with the path of the last checkpoint."""

_NAME = re.compile(r'(?P<start>\D*)(?P<number>\d+)\.pth')


def latest_whole_checkpoint(work_dir: str | Path, out_dir: str | None = None) -> str | None:
    """Find the checkpoint that a run continues from; None if it has none and never had one.

    It is the one that ``last_checkpoint`` names, by its file name in the run's own folder: so a
    moved run goes on. Where it is damaged, a warning, and the one with the next lower number; if
    all are, an error. With ``out_dir`` of the hook they are in the folder of the run's name there;
    below an address such as ``s3://...`` the named one is returned unchecked.
    """
    pointer = Path(work_dir) / POINTER
    named = pointer.read_text(errors='replace').strip() if pointer.exists() else ''
    if pointer.exists() and not (named.isprintable() and 0 < len(named) < 4096):
        _warn(f'{pointer} is empty or damaged; looking for checkpoints in its folder')
        named = ''
    if out_dir and '://' in out_dir and named.startswith(f'{out_dir.rstrip("/")}/'):
        return named
    folder = Path(out_dir) / Path(work_dir).resolve().name if out_dir else Path(work_dir)
    wanted = _candidates(folder, Path(named).name)
    if not wanted and not pointer.exists():
        return None
    for path in wanted:
        damage = find_damage(path)
        if damage is None:
            return str(path)
        _warn(f'checkpoint {path} {damage}; looking for the one before')
    raise Refusal(
        f'--resume: none of the checkpoints of {folder} is whole '
        f'({", ".join(path.name for path in wanted) or "there is none"}); put one back, or delete '
        f'{pointer} and the damaged files to start from the beginning'
    )


def _candidates(folder: Path, named: str) -> list[Path]:
    """Checkpoints of a folder in the order in which to try them: the named one, then lower ones."""
    starts: tuple[str, ...] = ('epoch_', 'iter_')
    last: float = math.inf
    if named:  # higher numbers belong to another run in the same folder
        own = _NAME.fullmatch(named)
        starts, last = ((own['start'],), int(own['number'])) if own else ((), 0)
    found = {}
    for path in folder.glob('*.pth'):
        name = _NAME.fullmatch(path.name)
        if name and name['start'] in starts and int(name['number']) < last:
            found[path] = int(name['number'])
    earlier = sorted(found, key=found.__getitem__, reverse=True)
    return [folder / named, *earlier] if named else earlier


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
