"""Checking an archive before it is sent to PASCAL VOC's evaluation server."""

from __future__ import annotations

import lzma
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from ..utils.errors import Missing, Refusal
from ..utils.files import read_bytes
from ..utils.images import open_image
from ..utils.lists import name_some, read_image_ids
from ..utils.progress import progress
from .voc_submission import COMPETITIONS, LAYOUT, NUM_CLASSES

MAX_PNG_BYTES = 1 << 23
"""Largest PNG, 8 MiB; VOC's images have a quarter of a million pixels."""
_ENTRY = re.compile(
    LAYOUT.format(competition=f'(?P<competition>{"|".join(COMPETITIONS)})') + r'/(?P<name>.+)\.png'
)

_DAMAGE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError)


@dataclass
class SubmissionReport:
    """What was found in a submission.

    Attributes:
        images: Number of PNGs in the expected folder.
        competitions: Which competitions the folders are of.
        problems: Image ids or file names by kind of problem; empty if the submission is good.
    """

    images: int = 0
    competitions: set[str] = field(default_factory=set)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def add(self, problem: str, name: str) -> None:
        """Add a problem of a file."""
        self.problems.setdefault(problem, []).append(name)

    def __str__(self) -> str:
        title = f'{self.images} PNGs of {", ".join(sorted(self.competitions)) or "no competition"}'
        if not self.problems:
            return f'{title}: ready to be sent'
        lines = [
            f'  {len(names)} {kind}: {name_some(names)}' for kind, names in self.problems.items()
        ]
        return '\n'.join([f'{title}: NOT ready to be sent', *lines])


def check_submission(submission: str | Path, ann_file: str, image_dir: str) -> SubmissionReport:
    """Validate names, format, mode, size and value range of the PNGs of a submission.

    Args:
        submission: The archive (``.tar``, ``.tar.gz``, ``.tgz``), or the folder that holds
            ``results/VOC2012/...``.
        ann_file: List of the images to be predicted.
        image_dir: Folder of those images (``<id>.jpg``), for their sizes.

    Returns:
        The report; ``problems`` is empty for a good submission.

    Raises:
        FileNotFoundError: If the submission, the list or an image of the list is missing.
        ValueError: If the submission is neither a folder nor a readable archive.
    """
    wanted = read_image_ids(ann_file)
    paths = {name: Path(image_dir) / f'{name}.jpg' for name in wanted}
    absent = [str(path) for path in paths.values() if not path.is_file()]
    if absent:
        raise Missing(f'image missing: {name_some(absent)} of the list {ann_file}')
    report, seen = SubmissionReport(), Counter[str]()
    for path, content in progress(_entries(Path(submission)), 'PNGs', len(wanted)):
        entry = _ENTRY.fullmatch(path)
        if entry is None:
            report.add('files that do not belong there', path)
            continue
        name = entry['name']
        seen[name] += 1
        report.images += 1
        report.competitions.add(entry['competition'])
        if name not in paths:
            report.add(f'images that are not in {ann_file}', name)
            continue
        with open_image(read_bytes(paths[name], 'image'), paths[name]) as image:
            size = image.size
        for problem in _problems(content, size):
            report.add(problem, name)
    for name in wanted:
        if name not in seen:
            report.add('images without a prediction', name)
    for name, count in seen.items():
        if count > 1:
            report.add('images that are there more than once', name)
    if len(report.competitions) > 1:
        report.add('competitions instead of one', ', '.join(sorted(report.competitions)))
    return report


def _problems(content: bytes, size: tuple[int, int]) -> Iterator[str]:
    """What is wrong with one PNG, given width and height of its image."""
    if len(content) > MAX_PNG_BYTES:
        yield f'files of more than {MAX_PNG_BYTES:,} bytes'
        return
    if not content.startswith(b'\x89PNG'):
        yield 'files that are not PNG'
        return
    try:
        with open_image(content, 'of the submission', 'PNG', ('PNG',)) as mask:
            if mask.mode != 'P':
                yield 'PNGs without a palette'
                return
            if mask.size != size:
                yield 'PNGs of another size than their image'
            highest = int(np.array(mask).max())
    except (OSError, ValueError, SyntaxError):  # the last is Pillow's for a broken PNG
        yield 'files that cannot be read'
        return
    if highest >= NUM_CLASSES:
        yield f'PNGs with values outside 0..{NUM_CLASSES - 1}'


def _entries(submission: Path) -> Iterator[tuple[str, bytes]]:
    """Relative path and content of every file of a folder or archive."""
    if not submission.exists():
        raise Missing(f'no submission at {submission}')
    if submission.is_dir():
        # the archive beside results/ is not checked
        for path in sorted((submission / 'results').rglob('*')):
            if path.is_file():
                yield path.relative_to(submission).as_posix(), _head(path.open('rb'))
        return
    try:
        with tarfile.open(submission) as archive:
            for member in archive:
                # links are not followed
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is not None:
                    yield member.name.removeprefix('./'), _head(stream)
    except _DAMAGE as error:
        raise Refusal(
            f'{submission} is neither a folder nor a whole .tar or .tar.gz archive ({error})'
        ) from error


def _head(stream: IO[bytes]) -> bytes:
    """The content, or little more than is allowed: enough to detect a file that is too large."""
    content = bytearray()
    with stream:  # in parts, because the reader of an archive copies each part several times
        while len(content) <= MAX_PNG_BYTES and (part := stream.read(1 << 20)):
            content += part
    return bytes(content)
