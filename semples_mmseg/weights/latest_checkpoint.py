"""The checkpoint to resume from: the last one that is whole."""

import logging
import re
import zipfile
import zlib
from pathlib import Path

from mmengine.logging import print_log

POINTER = 'last_checkpoint'
"""MMEngine's file that says which checkpoint is the last one."""

_NUMBERED = re.compile(r'(?P<start>.*?)(?P<number>\d+)(?P<end>\D*)')
_USUAL = ('epoch_', 'iter_')


def latest_whole_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint that a run goes on from.

    It is the one that the file ``last_checkpoint`` names. If that one is missing or damaged, a
    warning says so and the one before is taken, i.e. of the next lower number; without a readable
    ``last_checkpoint`` the one of the highest number. In a work folder that was moved, checkpoints
    are found where they are now.

    Args:
        work_dir: Work folder of the run.

    Returns:
        Path of the checkpoint; ``None`` if the folder has none and never had one. An address such
        as ``s3://...`` is returned as it is, without a look at the file.

    Raises:
        ValueError: If there are checkpoints, or were, but none is whole. Starting anew is a choice
            that may cost days, so it is left to the user.
    """
    folder = Path(work_dir)
    named = _named(folder / POINTER)
    if named is not None and '://' in named:
        return named
    wanted = _candidates(folder, named)
    if not wanted and not (folder / POINTER).exists():
        return None
    for path in wanted:
        damage = find_damage(path)
        if damage is None:
            return str(path)
        print_log(
            f'checkpoint {path} {damage}; looking for the one before',
            logger='current',
            level=logging.WARNING,
        )
    raise ValueError(
        f'--resume: none of the checkpoints of {folder} is whole '
        f'({", ".join(path.name for path in wanted) or "there is none"}); put one back, or delete '
        f'{folder / POINTER} and the damaged files to start from the beginning'
    )


def find_damage(path: Path) -> str | None:
    """Look for damage in a file that :func:`torch.save` has written.

    Such a file is a zip archive. Its list of contents is at the end, so a cut is seen at once; all
    of the contents are compared with their checksums, which takes about as long as reading them.

    Args:
        path: The file.

    Returns:
        What is wrong with it, to follow its name in a sentence; ``None`` if nothing is.
    """
    if not path.is_file():
        return 'is missing'
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    # All that zipfile raises on bytes that are no archive or were changed.
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        return f'is damaged ({error})'
    return None if broken is None else f'is damaged (checksum of {broken})'


def _named(pointer: Path) -> str | None:
    """What ``last_checkpoint`` says, if it can be understood."""
    if not pointer.exists():
        return None
    with open(pointer, 'rb') as file:
        text = file.read(4097).decode(errors='replace').strip()
    if text and text.isprintable() and '\ufffd' not in text and len(text) <= 4096:
        return text
    print_log(
        f'{pointer} is empty or damaged; looking for checkpoints in its folder',
        logger='current',
        level=logging.WARNING,
    )
    return None


def _candidates(folder: Path, named: str | None) -> list[Path]:
    """Checkpoints, the one to try first at the front."""
    if named is None:
        found = [path for start in _USUAL for path in folder.glob(f'{start}*.pth')]
        numbered = [(int(m['number']), path) for path in found if (m := _parts(path.name))]
        return [path for _, path in sorted(numbered, reverse=True)]
    last = Path(named)
    if not last.is_file():
        last = folder / last.name
    own = _parts(last.name)
    earlier = []
    if own and last.parent.is_dir():
        for path in last.parent.iterdir():
            parts = _parts(path.name)
            same = parts and (parts['start'], parts['end']) == (own['start'], own['end'])
            # Higher numbers are those of another run in the same folder.
            if parts and same and int(parts['number']) < int(own['number']):
                earlier.append((int(parts['number']), path))
    return [last, *(path for _, path in sorted(earlier, reverse=True))]


def _parts(name: str) -> re.Match[str] | None:
    return _NUMBERED.fullmatch(name)
