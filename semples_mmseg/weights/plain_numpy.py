"""NumPy's arrays and scalars in pickles, without a dtype that the file can shape.

NumPy rebuilds a dtype from a state in the file. A state that lies about objects makes it read bytes
of the file as addresses. Here a dtype is a plain code such as ``f8``; of its state only the byte
order is taken.
"""

import math
import re
from typing import Any

import numpy as np

_CODE = re.compile(r'[?bBhHiIlLqQefdgFDG]|[biufc]\d{1,2}|[SU]\d{1,9}|O8?')


class PlainDtype:
    """A bool, integer, float, complex or fixed string in a pickle; or the objects of a list."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise ValueError(f'{code!r} is no plain type of numbers or texts')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order."""
        order, *parts = state[1:5]
        if order not in ('<', '>', '|', '=') or any(part is not None for part in parts):
            raise ValueError('it has a dtype with fields')
        self.dtype = self.dtype.newbyteorder(order)


class PlainArray(np.ndarray):
    """An array of a pickle. It is pickled as NumPy's own."""

    def __new__(cls) -> 'PlainArray':  # nothing of a file, not even a shape
        return super().__new__(cls, 0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        """Take shape and content."""
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, PlainDtype) or not all(type(side) is int for side in shape):
            raise ValueError('it has an array without a plain type and shape')
        kind, count = dtype.dtype, math.prod(shape)
        fits = isinstance(content, list) if kind.hasobject else isinstance(content, bytes)
        if not fits or min(shape, default=0) < 0 or len(content) != count * _size(kind):
            raise ValueError(f'it has an array {shape} of {kind} with other content')
        plain: Any = (1, tuple(shape), kind, bool(fortran), content)
        super().__setstate__(plain)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return np.array(self, subok=False).__reduce_ex__(protocol)


def _size(dtype: np.dtype) -> int:
    """Entries of the content for each element: bytes, or one object."""
    return 1 if dtype.hasobject else dtype.itemsize


def _array(*_: Any) -> PlainArray:
    """Replaces ``_reconstruct``, whose array gets its content from ``__setstate__``."""
    return PlainArray()


def _scalar(dtype: Any, content: Any) -> Any:
    """Replaces ``scalar``."""
    return _frombuffer(content, dtype, (), 'C')[()]


def _frombuffer(content: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    """Replaces ``_frombuffer``, which arrays of protocol 5 call."""
    array = PlainArray()
    array.__setstate__((1, shape, dtype, order == 'F', bytes(content)))
    return np.array(array, subok=False)


_FUNCTIONS = {
    'multiarray._reconstruct': _array,
    'multiarray.scalar': _scalar,
    'numeric._frombuffer': _frombuffer,
}
PLAIN_NUMPY: dict[str, Any] = {
    'numpy.ndarray': PlainArray,
    'numpy.dtype': PlainDtype,
    **{
        f'numpy.{core}.{name}': function
        for core in ('core', '_core')  # NumPy 1 and 2
        for name, function in _FUNCTIONS.items()
    },
}
"""What may stand in a pickle in the place of NumPy's types and functions, by their full names."""
