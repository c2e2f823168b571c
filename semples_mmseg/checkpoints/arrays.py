"""NumPy's arrays and numbers in pickles, without calling NumPy as the pickle says.

With a forged description of a type, NumPy's own functions read memory that they should not.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import PickleError

_NUMERIC = re.compile(r'b1|[iu][1248]|f[248]')
_TEXT = re.compile(r'[US]\d{1,4}')


class DType:
    """Stands for ``numpy.dtype``: booleans, integers, floats, texts, or Python objects."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        self.code = str(code) if isinstance(code, (str, bytes)) else ''
        self.order = '='

    def set_state(self, state: Any) -> 'DType':
        """Take over the order of bytes."""
        if state[1] in ('<', '>', '|', '='):
            self.order = state[1]
        return self

    def decode(self, data: Any) -> np.ndarray:
        """Turn bytes into a vector of numbers or texts, or a list into one of objects."""
        if self.code in ('O', 'O8', 'O4'):
            if type(data) is not list:
                raise PickleError('it holds an array of objects whose elements are no list')
            objects = np.empty(len(data), object)
            for index, value in enumerate(data):
                objects[index] = value
            return objects
        if isinstance(data, str):  # written by Python 2
            data = data.encode('latin1')
        if not _NUMERIC.fullmatch(self.code) and not _TEXT.fullmatch(self.code):
            raise PickleError(f'it holds an array of type {self.code[:20]!r}')
        return np.frombuffer(data, np.dtype(self.order + self.code)).copy()


class Unfilled:
    """Stands for ``numpy.ndarray`` until its state comes."""

    def __init__(self, *_: Any) -> None:
        pass

    def set_state(self, state: Any) -> np.ndarray:
        """Give the array."""
        return _array(*state[-4:])


def _array(shape: Any, dtype: DType, fortran: Any, data: Any) -> np.ndarray:
    sizes = tuple(operator.index(size) for size in shape)
    if len(sizes) > 32 or not all(0 <= size < 1 << 63 for size in sizes):
        raise PickleError('it holds an array of no real shape')
    values = dtype.decode(data)
    if len(values) != math.prod(sizes):
        raise PickleError(f'an array of {len(sizes)} axes has {len(values)} elements')
    return values.reshape(sizes, order='F' if fortran else 'C')


def _frombuffer(data: Any, dtype: DType, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    if axes is not None:
        raise PickleError('it holds an array with permuted axes')
    return _array(shape, dtype, order == 'F', data)


def _scalar(dtype: DType, data: Any) -> Any:
    return dtype.decode(data)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode('latin1')


NAMES: Mapping[str, Callable] = {
    'numpy ndarray': Unfilled,
    'numpy dtype': DType,
    **{
        f'numpy.{core}.{name}': stand_in
        for core in ('core', '_core')
        for name, stand_in in (
            ('multiarray _reconstruct', Unfilled),
            ('multiarray scalar', _scalar),
            ('numeric _frombuffer', _frombuffer),
        )
    },
    # How Python 3 writes bytes in the old protocol 2.
    '_codecs encode': _encode,
}
STATES: Mapping[type, Callable[[Any, Any], Any]] = {
    Unfilled: Unfilled.set_state,
    DType: DType.set_state,
}
