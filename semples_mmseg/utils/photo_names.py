"""Which photo is meant by a name in a table or in a file of a label tool."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from .lists import folded
from .names import without_invisible

# Label Studio puts eight digits before the name of an upload, Roboflow writes cow_jpg.rf.DIGITS.jpg
# for cow.jpg; both replace characters.
_RENAMED = (re.compile(r'[0-9a-f]{8}-(.+)'), re.compile(r'(.+)\.rf\.[0-9A-Za-z]{8,}'))


class PhotoNames:
    """The photos of a folder, with slashes, by the names that tables and label tools give."""

    def __init__(self, photos: Sequence[str], root: Path) -> None:
        self.photos, self.root = photos, root
        self._exact = {*photos}
        self._roots = [f'{path.as_posix()}/' for path in (root.absolute(), root.resolve())]
        self._paths: dict[str, list[str]] = defaultdict(list)
        self._names: dict[str, list[str]] = defaultdict(list)
        self._loose: dict[str, list[str]] = defaultdict(list)
        for photo in photos:
            path = PurePosixPath(photo)
            for name in {photo, str(path.with_suffix(''))}:
                self._paths[_key(name)].append(photo)
            for name in {path.name, path.stem}:
                self._names[_key(name)].append(photo)
                self._loose[_loose(name)].append(photo)

    def named(self, name: str) -> list[str]:
        """Photos of this path below the folder or this file name; a path excludes the others.

        The suffix may be left out; case, the two Unicode forms of accents and invisible characters
        make no difference. A path of this machine may be absolute, and have backslashes.
        """
        if name in self._exact:
            return [name]
        name = name.replace('\\', '/').removeprefix('./')
        for root in self._roots:
            name = name.removeprefix(root)
        if name in self._exact:
            return [name]
        return self._paths.get(_key(name)) or self._names.get(_key(name), [])

    def find(self, name: str) -> list[str]:
        """``named``, or photos whose path is the end of this one, or that a label tool renamed.

        Understood are also paths of other machines, further folders before the path, URLs, the
        names of Label Studio's uploads and of Roboflow's versions.
        """
        if found := self.named(name):
            return found
        path = unquote(name.rpartition('?d=')[2].partition('?')[0]).replace('\\', '/')
        parts = path.split('/')
        for start in range(len(parts)):
            if found := self._paths.get(_key('/'.join(parts[start:])), []):
                return found
        for pattern in _RENAMED:
            if renamed := pattern.match(parts[-1]):
                return self._loose.get(_loose(renamed[1]), [])
        return self._names.get(_key(parts[-1]), []) if '://' in name else []


def _key(name: str) -> str:
    return folded(without_invisible(name)).strip()


def _loose(name: str) -> str:
    return re.sub(r'[\W_]', '', folded(name))
