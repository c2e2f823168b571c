"""Writing split lists and label files; other content is replaced only on request."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..utils.errors import AlreadyThere
from ..utils.files import read_lines
from ..utils.io import atomic_write
from ..utils.lists import name_some


def label_lines(labels: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of a label file ``{"image id": ["class", ...]}``, one image a line."""
    entries = [f'{json.dumps(i)}: {json.dumps(list(labels[i]))}' for i in sorted(labels)]
    return ['{', *(f'{entry},' for entry in entries[:-1]), *entries[-1:], '}']


def is_current(path: Path, lines: Sequence[str]) -> bool:
    """Whether a file has these lines, in any order; refused if it has others."""
    if not path.exists():
        return False
    there, wanted = ({line.rstrip(',') for line in text} for text in (read_lines(path), lines))
    odd = sorted(there ^ wanted)
    if odd:
        raise AlreadyThere(
            f'{path} has other content: {len(there)} lines there, {len(wanted)} now, differing in '
            f'{name_some(odd)}. Move it away, choose another name, or overwrite it (--overwrite)'
        )
    return True


def write_files(files: Mapping[Path, Sequence[str]], overwrite: bool = False) -> list[Path]:
    """Write text files by their lines, unless they have them; returns those that were written.

    None is written if one of them has other content, which ``overwrite`` replaces.
    """
    changed = [path for path, lines in files.items() if overwrite or not is_current(path, lines)]
    for path in changed:
        with atomic_write(path) as file:
            file.writelines(f'{line}\n' for line in files[path])
    return changed
