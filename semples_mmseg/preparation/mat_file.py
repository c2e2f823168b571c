"""Reading one array of a MATLAB 5 file, without SciPy: a file of many nested cells kills it.

Layout: a header of 128 bytes, then elements of (type, number of bytes, data), padded to 8 bytes. A
matrix is an element of elements: flags (its class), dimensions, name, data; a struct has the names
of its fields and a matrix for each in the place of data.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

MAX_BYTES = 1 << 24
"""Largest file, and largest variable after decompression: 16 MiB. SBD's have some 10 kB."""

_SMALLEST = 8
_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2
_STORED = {
    1: 'i1',
    2: 'u1',
    3: 'i2',
    4: 'u2',
    5: 'i4',
    6: 'u4',
    7: 'f4',
    9: 'f8',
}
_CLASSES = {6: 'f8', 7: 'f4', 8: 'i1', 9: 'u1', 10: 'i2', 11: 'u2', 12: 'i4', 13: 'u4'}


def read_field(content: bytes, variable: str, field: str) -> np.ndarray:
    """Read ``variable.field``, an array of real numbers.

    Args:
        content: The file.
        variable: Name of a struct of one element.
        field: Name of its field.

    Returns:
        The array.

    Raises:
        ValueError: If there is no such array, or the file is damaged or another one.
    """
    if content[126:128] not in (b'IM', b'MI'):
        raise ValueError('it is no file of MATLAB 5')
    order = '<' if content[126:128] == b'IM' else '>'
    for kind, data in _elements(memoryview(content)[128:], order, padded=False):
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()
            plain = stream.decompress(data, MAX_BYTES)
            if stream.unconsumed_tail:
                raise ValueError(f'a variable of more than {MAX_BYTES:,} bytes')
            kind, data = next(_elements(memoryview(plain), order))
        matrix = _elements(data, order)
        if kind == _MATRIX and _head(matrix, order)[2] == variable.encode():
            return _read_array(_field(data, field.encode(), order), order)
    raise ValueError(f'it has no variable {variable}')


def _elements(
    data: memoryview, order: str, padded: bool = True
) -> Iterator[tuple[int, memoryview]]:
    """Type and data of one element after another."""
    while len(data) >= _SMALLEST:
        kind, size = struct.unpack(f'{order}II', data[:8])
        if kind >> 16:  # at most 4 bytes, behind a tag of 4 bytes
            kind, size, start, end = kind & 0xFFFF, kind >> 16, 4, 8
        else:
            start, end = 8, 8 + size + (-size % 8 if padded else 0)
        if start + size > len(data) or (start == 4 and size > 4):
            raise ValueError('an element ends behind the file')
        yield kind, data[start : start + size]
        data = data[end:]
    raise ValueError('it ends too early')


def _head(matrix: Iterator[tuple[int, memoryview]], order: str) -> tuple[int, list[int], bytes]:
    """Class, dimensions and name of a matrix."""
    flags, dimensions, name = (bytes(next(matrix)[1]) for _ in range(3))
    return (
        struct.unpack(f'{order}I', flags[:4])[0] & 0xFF,
        np.frombuffer(dimensions, f'{order}i4').tolist(),
        name,
    )


def _field(data: memoryview, field: bytes, order: str) -> memoryview:
    matrix = _elements(data, order)
    kind, dimensions, _ = _head(matrix, order)
    if kind != _STRUCT or dimensions != [1, 1]:
        raise ValueError('the variable is no struct')
    length = struct.unpack(f'{order}i', next(matrix)[1])[0]
    names = bytes(next(matrix)[1])
    if length < 1:
        raise ValueError('a struct without names')
    for start in range(0, len(names), length):
        value = next(matrix)[1]
        if names[start : start + length].rstrip(b'\0') == field:
            return value
    raise ValueError(f'the struct has no field {field.decode()}')


def _read_array(data: memoryview, order: str) -> np.ndarray:
    matrix = _elements(data, order)
    kind, dimensions, _ = _head(matrix, order)
    stored, values = next(matrix)
    if kind not in _CLASSES or stored not in _STORED:
        raise ValueError(f'an array of class {kind}')
    # MATLAB stores numbers in the smallest type that holds them
    array = np.frombuffer(values, order + _STORED[stored]).astype(_CLASSES[kind])
    if min(dimensions, default=0) < 0 or array.size != np.prod(dimensions, dtype=object):
        raise ValueError(f'{array.size} numbers in an array of dimensions {dimensions}')
    return array.reshape(dimensions, order='F')
