"""Tensors, training state and other things of PyTorch's and MMEngine's in pickles."""

import argparse
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from . import arrays
from .errors import PickleError
from .machine import Names, check_key

DTYPES = {
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'FloatStorage': torch.float32,
    'DoubleStorage': torch.float64,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'ShortStorage': torch.int16,
    'IntStorage': torch.int32,
    'LongStorage': torch.int64,
    'BoolStorage': torch.bool,
    'ComplexFloatStorage': torch.complex64,
    'ComplexDoubleStorage': torch.complex128,
}
# Tensors may share memory, as tied weights do; but what copies each of them must find room.
MOST_SHARING = 2


class Storages:
    """The memory that tensors of a file lie in.

    Args:
        read: Gives the elements of a storage, a vector, for its key, type and number of elements.
    """

    def __init__(self, read: Callable[[str, torch.dtype, int], Tensor]) -> None:
        self._read = read
        self._known: dict[str, Tensor] = {}
        self._held = 0
        self._claimed = 0

    def find(self, reference: Any) -> Tensor:
        """Give the storage that a pickle refers to."""
        if type(reference) is not tuple or len(reference) not in (5, 6):
            raise PickleError('it refers to something that is no storage')
        kind, dtype, key, _, count = reference[:5]
        if kind != 'storage' or not isinstance(dtype, torch.dtype) or type(key) is not str:
            raise PickleError('it refers to something that is no storage')
        if len(reference) == 6 and reference[5] is not None:
            raise PickleError('it has views of storages, as PyTorch wrote them before 0.4')
        if type(count) is not int or count < 0:
            raise PickleError(f'its storage {key[:20]!r} has no number of elements')
        if key not in self._known:
            self._known[key] = self._read(key, dtype, count)
            self._held += self._known[key].nbytes
        return self._known[key]

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        """Give a tensor in a storage, if it lies in there and shows no element twice."""
        if not isinstance(storage, Tensor) or len(size) != len(stride) or len(size) > 64:
            raise PickleError('it has a tensor without storage, size or strides')
        numbers = (offset, *size, *stride)
        if any(type(number) is not int or not 0 <= number < 1 << 63 for number in numbers):
            raise PickleError('it has a tensor whose size is no whole number')
        count = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if count > len(storage) or (count and last >= len(storage)):
            raise PickleError(f'it has a tensor of {count} elements in a storage of {len(storage)}')
        self._claimed += count * storage.element_size()
        if self._claimed > MOST_SHARING * self._held:
            raise PickleError(
                f'its tensors claim more than {MOST_SHARING} times the bytes that it holds'
            )
        return storage.as_strided(tuple(size), tuple(stride), offset)

    def typed_tensor(
        self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any
    ) -> Tensor:
        """The same for a storage of bytes, as those of newer types are."""
        return self.tensor(storage.view(dtype), offset, size, stride)


def _parameter(data: Any, requires_grad: Any, hooks: Any) -> nn.Parameter:
    return nn.Parameter(data, bool(requires_grad))


def _method_of_buffer(owner: Any, name: Any) -> str:
    """Stands for the methods that MMEngine's smoothed values list; they come with the class."""
    if getattr(owner, 'name', None) != _BUFFER or name not in _METHODS:
        raise PickleError('it asks for an attribute of something')
    return name


def _counter(counts: Any = ()) -> Counter:
    for key, count in dict(counts).items():
        check_key(key)
        if type(count) is not int:
            raise PickleError('it counts something in fractions')
    return Counter(dict(counts))


def _size(sizes: Any = ()) -> torch.Size:
    return torch.Size(tuple(sizes))


def _device(kind: Any, index: Any = None) -> torch.device:
    return torch.device(kind) if index is None else torch.device(kind, index)


def _set_buffer(buffer: HistoryBuffer, state: Any) -> HistoryBuffer:
    values, counts, longest = (
        state[key] for key in ('_log_history', '_count_history', 'max_length')
    )
    for array in (values, counts):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in 'iuf' or array.ndim != 1:
            raise PickleError('it has smoothed values that are no vector of numbers')
    if len(values) != len(counts) or type(longest) is not int or not 0 < longest <= 1_000_000:
        raise PickleError('it has smoothed values that do not fit their counts')
    buffer.max_length = longest
    buffer._log_history, buffer._count_history = values, counts
    return buffer


def _set_metadata(state: OrderedDict, attributes: Any) -> OrderedDict:
    """Versions of modules are an attribute of state dicts."""
    if set(attributes) != {'_metadata'} or not isinstance(attributes['_metadata'], dict):
        raise PickleError('it sets attributes of a dict')
    vars(state)['_metadata'] = attributes['_metadata']
    return state


def _set_options(options: argparse.Namespace, values: Any) -> argparse.Namespace:
    for key in values:
        if type(key) is not str:
            raise PickleError('it has options without names')
    vars(options).update(values)
    return options


_BUFFER = 'mmengine.logging.history_buffer HistoryBuffer'
_METHODS = ('min', 'max', 'current', 'mean')
_STATES: Mapping[type, Callable[[Any, Any], Any]] = {
    **arrays.STATES,
    HistoryBuffer: _set_buffer,
    OrderedDict: _set_metadata,
    argparse.Namespace: _set_options,
}
_FIXED: Mapping[str, Any] = {
    **arrays.NAMES,
    **{f'torch {name}': dtype for name, dtype in DTYPES.items()},
    **{
        f'torch {name}': dtype
        for name, dtype in vars(torch).items()
        if isinstance(dtype, torch.dtype)
    },
    'torch.storage UntypedStorage': torch.uint8,
    'torch Size': _size,
    'torch device': _device,
    'torch._utils _rebuild_parameter': _parameter,
    'collections OrderedDict': OrderedDict,
    'collections Counter': _counter,
    # DeiT's training script, and many after it, store their command line beside the weights.
    'argparse Namespace': argparse.Namespace,
    _BUFFER: lambda: HistoryBuffer(),
    **{f'{_BUFFER}.{name}': name for name in _METHODS},
    '__builtin__ getattr': _method_of_buffer,
    'builtins getattr': _method_of_buffer,
}


def names_of_checkpoints(storages: Storages) -> Names:
    """What a checkpoint may name: tensors, and what PyTorch and MMEngine train with.

    Args:
        storages: Where its tensors lie.
    """
    rebuilt = {
        'torch._utils _rebuild_tensor': storages.tensor,
        'torch._utils _rebuild_tensor_v2': storages.tensor,
        'torch._utils _rebuild_tensor_v3': storages.typed_tensor,
    }
    return Names({**_FIXED, **rebuilt}.get, _STATES)
