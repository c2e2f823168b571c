"""The two forms that PyTorch writes checkpoints in: zip archives, and pickles one after another."""

import re
import struct
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from typing import IO, Any

import torch
from torch import Tensor

from .errors import PickleError
from .machine import Names, evaluate
from .tensors import Storages, names_of_checkpoints

_MAGIC = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
_PROTOCOL = 1001
_NOTHING = Names(lambda name: None, {})
# Of all but the tensors' elements; the log of a run of weeks has a few.
_MOST_PICKLED = 32 << 20
# Of the list of contents; PyTorch writes less than a hundred bytes a tensor.
_MOST_CONTENTS = 4 << 20
# Read at once; the zip library makes a copy.
_PIECE = 1 << 20
_END, _END64, _LOCATOR64 = b'PK\x05\x06', b'PK\x06\x06', b'PK\x06\x07'


class Archive:
    """A zip archive as PyTorch writes it: a folder with ``data.pkl`` and ``data/``.

    Nothing in it takes more memory than it has bytes: what is read is not compressed, and no two
    entries are one.

    Args:
        file: The archive.

    Raises:
        PickleError: If it is damaged, or no such archive.
    """

    def __init__(self, file: IO[bytes]) -> None:
        size = file.seek(0, 2)
        _check_end(file, size)
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception as error:  # damage shows itself in many ways
            raise PickleError(f'{type(error).__name__}: {error}') from None
        entries = self._zip.infolist()
        self._entries = {entry.filename: entry for entry in entries}
        if len(self._entries) != len(entries):
            raise PickleError('it has two entries of one name')
        stored = (entry.file_size for entry in entries if entry.compress_type == 0)
        if sum(stored) > size:
            raise PickleError('its entries are larger than it is')
        roots = [m[1] for name in self._entries if (m := re.fullmatch(r'([^/]*)/data\.pkl', name))]
        if len(roots) != 1:
            raise PickleError('it has no data.pkl in one folder')
        self._root = roots[0]

    @property
    def is_torchscript(self) -> bool:
        """Whether it holds a program."""
        return f'{self._root}/constants.pkl' in self._entries

    def evaluate(
        self, make_names: Callable[[Storages], Names], device: torch.device | str = 'cpu'
    ) -> Any:
        """Evaluate ``data.pkl``.

        Args:
            make_names: Gives what it may name.
            device: Where its tensors shall be.

        Raises:
            ForeignNameError: If it names anything else.
            PickleError: If the archive is damaged or forged.
        """
        if self.read('byteorder', missing=b'little') != b'little':
            raise PickleError('it was written by a machine with another order of bytes')

        def read(key: str, dtype: torch.dtype, count: int) -> Tensor:
            data = self.read(f'data/{key}')
            return _vector(data, dtype, count).to(device)

        storages = Storages(read)
        size = self._entry('data.pkl').file_size
        with self._open('data.pkl') as file:
            return evaluate(file, min(size, _MOST_PICKLED), make_names(storages), storages.find)

    def read(self, name: str, missing: bytes | None = None) -> bytes | bytearray:
        """Read an entry, or give ``missing`` if there is none."""
        if missing is not None and f'{self._root}/{name}' not in self._entries:
            return missing
        data = bytearray(self._entry(name).file_size)
        with self._open(name) as file:
            left = memoryview(data)
            while left and (count := file.readinto(left[:_PIECE])):
                left = left[count:]
            if left or file.read(1):
                raise PickleError(f'its entry {name} is cut short')
        return data

    def _entry(self, name: str) -> zipfile.ZipInfo:
        entry = self._entries.get(f'{self._root}/{name}')
        if entry is None:
            raise PickleError(f'it has no entry {name}')
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise PickleError(f'its entry {name} is compressed, which PyTorch does not do')
        return entry

    @contextmanager
    def _open(self, name: str) -> Any:
        try:
            with self._zip.open(self._entry(name)) as file:
                yield file
        except PickleError:
            raise
        except Exception as error:
            raise PickleError(f'its entry {name}: {type(error).__name__}: {error}') from None


def _check_end(file: IO[bytes], size: int) -> None:
    """Refuse an archive whose list of contents alone would fill the memory."""
    file.seek(max(0, size - 98))
    tail = file.read()
    if tail[-22:-18] != _END:
        raise PickleError('the file is cut short; get it again')
    if len(tail) == 98 and tail[:4] == _END64 and tail[56:60] == _LOCATOR64:
        (length,) = struct.unpack('<Q', tail[40:48])
    else:
        (length,) = struct.unpack('<L', tail[-10:-6])
    if length > _MOST_CONTENTS:
        raise PickleError(f'its list of contents has {length} bytes')


def read_sequence(file: IO[bytes], device: torch.device | str = 'cpu') -> Any:
    """Read a checkpoint as PyTorch wrote it before 1.6: pickles, then the tensors' elements.

    Args:
        file: The file.
        device: Where its tensors shall be.

    Raises:
        ForeignNameError: If a pickle names anything but tensors and plain data.
        PickleError: If the file is damaged or forged, or none of PyTorch's.
    """
    size = file.seek(0, 2)
    file.seek(0)

    def plain() -> Any:
        return evaluate(file, min(size - file.tell(), _MOST_PICKLED), _NOTHING)

    is_pytorchs = _MAGIC in file.read(32)
    file.seek(0)
    if not is_pytorchs:  # of another program's pickle, say what it asks for
        evaluate(file, min(size, _MOST_PICKLED), names_of_checkpoints(Storages(_no_storage)))
        raise PickleError('it is a pickle, but none that PyTorch wrote')
    plain()
    if plain() != _PROTOCOL:
        raise PickleError('it is of an unknown version')
    system = plain()
    if not isinstance(system, dict) or system.get('little_endian') is not True:
        raise PickleError('it was written by a machine with another order of bytes')
    begin = file.tell()
    room = min(size - begin, _MOST_PICKLED)
    kinds: dict[str, tuple[torch.dtype, int]] = {}
    claimed = 0

    def note(key: str, dtype: torch.dtype, count: int) -> Tensor:
        nonlocal claimed
        kinds[key] = dtype, count
        claimed += count * dtype.itemsize
        if claimed > size:
            raise PickleError('its storages are larger than it is')
        return torch.empty(count, dtype=dtype, device='meta')

    storages = Storages(note)
    evaluate(file, room, names_of_checkpoints(storages), storages.find)
    keys = plain()
    if not isinstance(keys, list) or len(keys) != len(kinds) or set(map(str, keys)) != set(kinds):
        raise PickleError('its list of storages is not that of its tensors')
    data: dict[str, bytearray] = {}
    for key in keys:
        dtype, count = kinds[key]
        if file.read(8) != struct.pack('<q', count):
            raise PickleError(f'its storage {key[:20]!r} is of another size than its tensors say')
        data[key] = bytearray(count * dtype.itemsize)
        if file.readinto(data[key]) != len(data[key]):  # type: ignore[attr-defined]
            raise PickleError('the file is cut short; get it again')
    file.seek(begin)
    storages = Storages(lambda key, dtype, count: _vector(data[key], dtype, count).to(device))
    return evaluate(file, room, names_of_checkpoints(storages), storages.find)


def _no_storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
    raise PickleError('it is a pickle, but none that PyTorch wrote')


def _vector(data: bytes | bytearray, dtype: torch.dtype, count: int) -> Tensor:
    """The elements in some bytes."""
    if len(data) != count * dtype.itemsize:
        raise PickleError(f'a storage of {count} elements has {len(data)} bytes')
    return torch.frombuffer(data, dtype=dtype) if count else torch.empty(0, dtype=dtype)
