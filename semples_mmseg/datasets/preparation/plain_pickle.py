"""Reading pickled dicts of NumPy arrays from ``.npy`` files without running anything in them.

A pickle is a small program: whoever wrote it names the functions that are called when it is read.
The reader here resolves the few names that NumPy's arrays need to stand-ins of its own, which only
collect what they are given, and refuses every other name. No function of NumPy is called by the
pickle either: with a forged type description some of them read memory they should not.
"""

import math
import operator
import os
import pickle
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

NUMERIC = re.compile(r'b1|[iu][1248]|f[248]')


class PlainPickleError(ValueError):
    """The file holds something else than a dict of arrays and numbers."""


class DType:
    """Stands in for ``numpy.dtype``: booleans, integers, floats, texts, or Python objects."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        self.code = str(code)
        self.order = '='

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ('<', '>', '|', '='):
            self.order = state[1]

    @property
    def is_object(self) -> bool:
        """Whether the elements are Python objects."""
        return self.code in ('O', 'O8', 'O4')

    def decode(self, data: Any) -> np.ndarray:
        """Turn bytes into a vector of numbers or texts."""
        if isinstance(data, str):  # written by Python 2
            data = data.encode('latin1')
        if not NUMERIC.fullmatch(self.code) and not re.fullmatch(r'[US]\d{1,4}', self.code):
            raise PlainPickleError(f'it holds an array of type {self.code!r}')
        return np.frombuffer(data, np.dtype(self.order + self.code))


class Array:
    """Stands in for ``numpy.ndarray``.

    Attributes:
        shape: Numbers of elements.
        values: List of Python objects, or a vector of numbers or texts.
    """

    shape: tuple[int, ...] = ()
    values: Any = ()

    def __setstate__(self, state: tuple) -> None:
        self.fill(*state[-4:])

    def fill(self, shape: tuple, dtype: DType, fortran: bool, data: Any) -> 'Array':
        """Take over shape and content."""
        self.shape = tuple(operator.index(size) for size in shape)
        self.values = data if dtype.is_object else dtype.decode(data)
        if len(self.values) != math.prod(self.shape):
            raise PlainPickleError(f'an array of shape {shape} has {len(self.values)} elements')
        return self


def _reconstruct(kind: type, shape: tuple, code: Any) -> Array:
    return Array()


def _frombuffer(data: Any, dtype: DType, shape: tuple, order: str, axes: Any = None) -> Array:
    return Array().fill(shape, dtype, order == 'F', data)


def _scalar(dtype: DType, data: bytes) -> Any:
    return dtype.decode(data)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode('latin1')


STAND_INS: Mapping[tuple[str, str], Callable] = {
    ('numpy', 'ndarray'): Array,
    ('numpy', 'dtype'): DType,
    **{
        (f'numpy.{core}.{module}', name): stand_in
        for core in ('core', '_core')
        for module, name, stand_in in (
            ('multiarray', '_reconstruct', _reconstruct),
            ('multiarray', 'scalar', _scalar),
            ('numeric', '_frombuffer', _frombuffer),
        )
    },
    # How Python 3 writes bytes in the old protocol 2.
    ('_codecs', 'encode'): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable:
        """Resolve a name of the pickle, or refuse it."""
        if (module, name) not in STAND_INS:
            raise PlainPickleError(
                f'it asks for {module}.{name}, which is neither an array nor plain data; nothing '
                'of it was run'
            )
        stand_in = STAND_INS[module, name]
        # A function of its own each time: a pickle may set attributes of what it is given.
        return lambda *arguments: stand_in(*arguments)


def read_pickled_dict(path: str | os.PathLike) -> dict:
    """Read the dict that ``numpy.save(path, a_dict)`` wrote.

    Arrays in it become one-dimensional NumPy arrays where they were one-dimensional and numeric;
    :class:`Array` otherwise. Numbers, texts, lists and dicts stay what they are.

    Args:
        path: An ``.npy`` file.

    Returns:
        The dict.

    Raises:
        FileNotFoundError: If there is no such file.
        PlainPickleError: If the file is none of NumPy's, is damaged, holds something else, or asks
            for anything but arrays and plain data.
    """
    with open(path, 'rb') as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
        except (ValueError, KeyError) as error:
            raise PlainPickleError(f'{path} is not an .npy file of numpy.save: {error}') from None
        if shape != () or dtype.kind != 'O':
            raise PlainPickleError(
                f'{path} holds an array of shape {shape} and type {dtype}; expected a dict '
                '{image id: vector} as written by numpy.save'
            )
        try:
            content = _Unpickler(file, encoding='latin1').load()
        except PlainPickleError as error:
            raise PlainPickleError(f'{path} is refused: {error}') from None
        except Exception as error:  # a damaged or forged pickle fails in any way
            raise PlainPickleError(
                f'{path} is damaged or forged ({type(error).__name__}: {error})'
            ) from None
    if not isinstance(content, Array) or len(content.values) != 1:
        raise PlainPickleError(f'{path} holds no single object; expected a dict')
    (result,) = content.values
    if not isinstance(result, dict):
        raise PlainPickleError(f'{path} holds a {type(result).__name__}; expected a dict')
    return {key: _plain(value) for key, value in result.items()}


def _plain(value: Any) -> Any:
    """The vector of a one-dimensional array of numbers; anything else as it is."""
    if isinstance(value, Array) and len(value.shape) == 1 and isinstance(value.values, np.ndarray):
        return value.values
    return value
