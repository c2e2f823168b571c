"""Reading ``cls_labels.npy``, the pickled multi-hot labels of many projects of the field."""

import codecs
import io
import operator
import os
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..utils.errors import Refusal
from ..utils.files import read_bytes
from ..utils.lists import name_some
from ..utils.names import check_image_id
from ..weights.plain_numpy import PLAIN_NUMPY


class _ArrayUnpickler(pickle.Unpickler):
    """Python's unpickler, restricted to NumPy's arrays and plain data."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up a type of the pickle."""
        allowed = {**PLAIN_NUMPY, '_codecs.encode': codecs.encode}
        if f'{module}.{name}' not in allowed:
            raise Refusal(
                f'it asks for {module}.{name}, which is neither an array nor plain data; nothing '
                'of it was run'
            )
        return allowed[f'{module}.{name}']


def read_cls_labels(
    path: str | os.PathLike, classes: Sequence[str], id_format: str | None = None
) -> dict[str, list[str]]:
    """Read a pickled dict ``{image id: multi-hot vector}``, safely: class names by image id.

    ``classes`` are the K object classes in the order of the vectors. Whole numbers become image ids
    by ``id_format``, e.g. ``'COCO_train2014_{:012d}'``; by default 2007000032 is ``'2007_000032'``.
    """
    if id_format is not None:
        try:
            told_apart = id_format.format(1) != id_format.format(2)
        except (IndexError, KeyError, ValueError, AttributeError):
            told_apart = False
        if not told_apart:
            raise Refusal(
                f'id format {id_format!r} does not turn a whole number into an image id; expected '
                "e.g. 'COCO_train2014_{:012d}'"
            )
    labels: dict[str, list[str]] = {}
    for key, value in _read_dict(path).items():
        try:
            img_id = key if isinstance(key, str) else _image_id(key, id_format)
            check_image_id(img_id, 'its id')
            present = _present(value, len(classes))
        except ValueError as error:
            raise Refusal(f'{path}, image {repr(key)[:80]}: {error}') from None
        if img_id in labels:
            raise Refusal(f'{path} has image {img_id!r} twice, as text and as number')
        labels[img_id] = [classes[k] for k in present]
    if not labels:
        raise Refusal(f'{path} holds an empty dict')
    return labels


def _read_dict(path: str | os.PathLike) -> dict:
    """Read the dict that ``numpy.save(path, a_dict)`` wrote, an array with one object."""
    with io.BytesIO(read_bytes(path, 'label file')) as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = getattr(np.lib.format, f'read_array_header_{version[0]}_{version[1]}')
            shape, _, dtype = read_header(file)
            if shape != () or dtype.kind != 'O':
                raise Refusal(f'it holds an array of shape {shape} and type {dtype}')
            content = _ArrayUnpickler(file).load().item()
        # NumPy's and pickle's errors on damaged bytes have no common base class.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise Refusal(
                f'{path} cannot be read: {reason}. Expected a dict {{image id: vector}} as written '
                'by numpy.save'
            ) from error
    if not isinstance(content, dict):
        raise Refusal(f'{path} holds a {type(content).__name__}; expected a dict')
    return content


def _image_id(key: Any, id_format: str | None) -> str:
    try:
        number = operator.index(key)
    except TypeError:
        raise Refusal(f'an id is a text or a whole number, not {type(key).__name__}') from None
    if id_format is not None:
        return id_format.format(number)
    year, rest = divmod(number, 1_000_000)
    if not 2007 <= year <= 2012:
        raise Refusal(
            f'{number} is no image id of VOC, which begins with a year, as 2007000032; give the '
            "form of the ids of another data set, --id-format 'COCO_train2014_{:012d}'"
        )
    return f'{year}_{rest:06d}'


def _present(value: Any, num_classes: int) -> list[int]:
    """Indices of the ones in a multi-hot vector."""
    try:
        vector = np.asarray(value).astype(np.float64, casting='same_kind')
    except (TypeError, ValueError):
        vector = np.zeros(())
    if vector.shape != (num_classes,):
        found = f'{len(vector)} entries' if vector.ndim == 1 else 'no vector of numbers'
        raise Refusal(f'expected a vector of {num_classes} zeros and ones, got {found}')
    odd = [str(x) for x in vector if x not in (0, 1)]
    if odd:
        raise Refusal(f'expected zeros and ones, got {name_some(odd)}')
    return np.flatnonzero(vector).tolist()
