"""What results were made from: settings, inputs and outputs, in ``record.json`` beside them.

A command asks the record of a folder and gets one of three answers: complete (nothing to do),
unfinished (continue), or made from something else, a ``Refusal`` that names what differs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import Missing, Refusal
from .files import file_digest, read_json
from .io import write_json

RECORD = 'record.json'
OLD = ('run.json', 'pipeline.json', 'pseudo_masks.json', 'predictions.json')
"""Files of version 0.3.0 in place of ours."""
State = Literal['new', 'unfinished', 'complete']
Stamps = dict[str, list]
"""Name of a file -> its size, its time of change in ns, its SHA-256."""


@dataclass
class Entry:
    """Record of one result.

    Attributes:
        settings: JSON data that the result depends on.
        inputs: Stamps of the files that it depends on.
        outputs: Stamps of its files, by paths below the folder; None while it is unfinished.
        about: JSON data that is not compared, such as the version.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    inputs: Stamps = field(default_factory=dict)
    outputs: Stamps | None = None
    about: dict[str, Any] = field(default_factory=dict)


class Record:
    """The record of a folder, which may be missing.

    Equal size and time of a file are trusted; of a file whose time differs the content is compared,
    so runs and photos can be copied and moved.

    Args:
        way: What a user can do where results were made from something else, the end of messages.

    Raises:
        Refusal: If the file is damaged, or the folder is of version 0.3.0.
    """

    def __init__(self, folder: str | os.PathLike, way: str = 'choose another --out') -> None:
        self.folder = Path(folder)
        self.file = self.folder / RECORD
        self.way = way
        self._entries = self._read()

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        """The entry of a result; ``Missing`` if there is none."""
        if name not in self._entries:
            raise Missing(f'{self.folder} holds no {name} ({RECORD} has no such entry)')
        return self._entries[name]

    def state(
        self,
        name: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path],
        grows: bool = False,
    ) -> State:
        """Compare a result with what it would be made from now; nothing is written.

        Args:
            inputs: Files and folders by name. The names are recorded, not the paths.
            grows: Whether each input has an output of its own, so that inputs may be added or left
                out. A result with new inputs is unfinished.

        Returns:
            ``'complete'`` means that it was finished and its outputs are there.

        Raises:
            Refusal: If settings or inputs differ, or an output was changed since it was made.
            Missing: If an input is missing.
        """
        return self._compare(name, _plain(settings), _expand(inputs), grows)[0]

    def begin(
        self,
        name: str,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Path],
        grows: bool = False,
        anew: bool = False,
        **about: Any,
    ) -> State:
        """Record that a result is about to be made, unless it is complete; see ``state``.

        Args:
            anew: Forget what was recorded; the caller has removed the outputs.
            about: JSON data that is not compared; replaces data of the same keys.
        """
        plain = _plain(settings)
        if anew:
            self._entries.pop(name, None)
        state, stamps = self._compare(name, plain, _expand(inputs), grows)
        if state != 'complete':
            there = self._entries.get(name, Entry())
            inputs_now = there.inputs | stamps if grows else stamps
            self._entries[name] = Entry(plain, inputs_now, None, there.about | _plain(about))
            self._write()
        return state

    def finish(
        self, name: str, outputs: Iterable[Path], unused: Iterable[str] = (), **about: Any
    ) -> None:
        """Record that a result is complete.

        Args:
            outputs: Its files and folders, below that of the record.
            unused: Names of inputs that nothing was made from, such as photos that cannot be read;
                they are forgotten, so that they may be replaced.
            about: See ``begin``.
        """
        entry, unused = self._entries[name], set(unused)
        files = _expand({os.path.relpath(path, self.folder): Path(path) for path in outputs})
        entry.outputs = _stamps(files, {})
        entry.inputs = {file: stamp for file, stamp in entry.inputs.items() if file not in unused}
        entry.about |= _plain(about)
        self._write()

    def unchanged(self, name: str, inputs: Mapping[str, Path]) -> set[str]:
        """Names of the inputs that have the size and time of the record; no file is read."""
        known = self[name].inputs if name in self else {}
        return {
            file
            for file, path in inputs.items()
            if file in known and path.is_file() and known[file][:2] == _version(path)
        }

    def forget(self, name: str) -> None:
        """Remove an entry."""
        if self._entries.pop(name, None) is not None:
            self._write()

    def _compare(
        self, name: str, settings: dict[str, Any], files: Mapping[str, Path], grows: bool
    ) -> tuple[State, Stamps]:
        entry = self._entries.get(name)
        stamps = _stamps(files, {} if entry is None else entry.inputs)
        if entry is None:
            return 'new', stamps
        changes = differences(entry.settings, settings)
        found = [f'{key} {old} there, {new} now' for key, old, new in changes]
        for file in sorted({*entry.inputs, *stamps}):
            if file in stamps and file in entry.inputs:
                if stamps[file][2] != entry.inputs[file][2]:
                    found.append(f'{file} has other content')
            elif not grows:
                found.append(f'{file} {"was added" if file in stamps else "is gone"}')
        if found:
            more = f' and {len(found) - 8} more' if len(found) > 8 else ''
            raise Refusal(
                f'the content of {self.folder} was made from something else: '
                f'{"; ".join(found[:8])}{more} (entry {name!r} of {RECORD}). '
                f'{self.way[0].upper()}{self.way[1:]}'
            )
        if entry.outputs is None:
            return 'unfinished', stamps
        there = {file: self.folder / file for file in entry.outputs}
        there = {file: path for file, path in there.items() if path.is_file()}
        now = _stamps(there, entry.outputs)
        changed = [file for file in now if now[file][2] != entry.outputs[file][2]]
        if changed:
            others = f' (and {len(changed) - 1} more files)' if len(changed) > 1 else ''
            raise Refusal(
                f'{self.folder / changed[0]} was changed since it was made{others}: delete it to '
                f'have it made again, or {self.way}'
            )
        whole = len(there) == len(entry.outputs) and not stamps.keys() - entry.inputs.keys()
        return ('complete' if whole else 'unfinished'), stamps

    def _read(self) -> dict[str, Entry]:
        if not self.file.exists():
            for old in OLD:
                if (self.folder / old).is_file():
                    raise Refusal(
                        f'{self.folder / old} was made by version 0.3.0 or older, which this one '
                        f'does not continue: {self.way}'
                    )
            return {}
        content = read_json(self.file)
        entries = content if isinstance(content, dict) else {'the file': content}
        for name, given in entries.items():
            if not _is_entry(given):
                raise Refusal(
                    f'{self.file} is damaged: {name} is no object of settings, inputs, outputs and '
                    f'about. Restore the file, or {self.way}'
                )
        return {name: Entry(**given) for name, given in entries.items()}

    def _write(self) -> None:
        content = {name: asdict(entry) for name, entry in self._entries.items()}
        write_json(self.file, content, indent=None)


def _is_entry(given: Any) -> bool:
    """Whether JSON data is an entry."""
    if not isinstance(given, dict) or given.keys() != vars(Entry()).keys():
        return False
    parts = dict(given, outputs={} if given['outputs'] is None else given['outputs'])
    if not all(isinstance(part, dict) for part in parts.values()):
        return False
    stamps = [*parts['inputs'].values(), *parts['outputs'].values()]
    kinds = [int, int, str]
    return all(isinstance(stamp, list) and [*map(type, stamp)] == kinds for stamp in stamps)


def _expand(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Files by name: of a folder all below it, but no hidden ones and no records."""
    files: dict[str, Path] = {}
    for name, path in paths.items():
        if path.is_file():
            files[name] = path
        elif not path.is_dir():
            raise Missing(f'{path} does not exist')
        for place, folders, below in os.walk(path):
            folders[:] = sorted(folder for folder in folders if not folder.startswith('.'))
            for file in (Path(place, file) for file in sorted(below)):
                if not file.name.startswith('.') and file.name != RECORD:
                    files[f'{name}/{file.relative_to(path).as_posix()}'] = file
    return files


def differences(old: Any, new: Any, where: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys of JSON data whose values differ, with both (``'not set'`` for none)."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            path = f'{where}.{key}' if where else str(key)
            yield from differences(old.get(key, 'not set'), new.get(key, 'not set'), path)
    elif old != new:
        yield where, old, new


def _stamps(files: Mapping[str, Path], known: Stamps) -> Stamps:
    """Stamps of files; a file whose size and time are known is not read."""

    def stamp(name: str) -> list:
        version = _version(files[name])
        if known.get(name, [])[:2] == version:
            return known[name]
        return [*version, file_digest(files[name])]

    with ThreadPoolExecutor() as pool:
        return dict(zip(files, pool.map(stamp, files), strict=True))


def _version(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value), parse_constant=str)
