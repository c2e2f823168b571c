"""Reading pickled dicts of NumPy arrays from ``.npy`` files without running anything in them."""

import io
import os
from typing import Any

import numpy as np

from ..checkpoints import ForeignNameError, Names, PickleError, evaluate
from ..checkpoints.arrays import NAMES, STATES
from ..utils.files import read_bytes

_ARRAYS = Names(NAMES.get, STATES)
# Two dozen an image; COCO's training sets have 82,000 and 118,000 images.
_MOST_INSTRUCTIONS = 4_000_000


class PlainPickleError(ValueError):
    """The file holds something else than a dict of arrays and numbers."""


def read_pickled_dict(path: str | os.PathLike) -> dict:
    """Read the dict that ``numpy.save(path, a_dict)`` wrote.

    Args:
        path: An ``.npy`` file.

    Returns:
        The dict: numbers, texts, lists, dicts and arrays.

    Raises:
        FileNotFoundError: If there is no such file.
        PlainPickleError: If the file is none of NumPy's, is damaged, holds something else, or asks
            for anything but arrays and plain data.
    """
    data = read_bytes(path, 'label file')
    with io.BytesIO(data) as file:
        _check_header(file, path)
        try:
            content = evaluate(file, len(data) - file.tell(), _ARRAYS, most=_MOST_INSTRUCTIONS)
        except ForeignNameError as error:
            raise PlainPickleError(f'{path} is refused: {error}') from None
        except PickleError as error:
            raise PlainPickleError(f'{path} is damaged or forged: {error}') from None
    if not isinstance(content, np.ndarray) or content.dtype != object or content.size != 1:
        raise PlainPickleError(f'{path} holds no single object; expected a dict')
    result = content.item()
    if not isinstance(result, dict):
        raise PlainPickleError(f'{path} holds a {type(result).__name__}; expected a dict')
    return result


def _check_header(file: Any, path: str | os.PathLike) -> None:
    """Read the header of an ``.npy`` file; refuse one that does not announce a single object."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
    except Exception as error:  # NumPy has Python's tokenizer read damaged headers
        raise PlainPickleError(f'{path} is not an .npy file of numpy.save: {error}') from None
    if shape != () or dtype.kind != 'O':
        raise PlainPickleError(
            f'{path} holds an array of shape {shape} and type {dtype}; expected a dict '
            '{image id: vector} as written by numpy.save'
        )
