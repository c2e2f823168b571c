"""A stand-in accelerator, so that the path of a GPU can be walked where there is none.

Its tensors say that they are on the device ``standin``; the CPU computes them. As on a GPU, an
operation on tensors of two devices is an error, and so is ``.numpy()``. What would make the host
wait for a GPU is counted, with the line that asks for it: values and sizes that the host reads
(``item``, ``nonzero``, ``unique``, masks as indices), copies to the CPU, and copies to the device
without ``non_blocking``.

It says nothing of speed, memory and rounding, which are those of the CPU.
"""

import collections
import functools
import re
import sys

import torch
from mmengine.device import utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = 'standin'
WAITS = collections.Counter()
"""Number of waits by (file, line, what was asked for)."""

_READS = {
    *('_local_scalar_dense', 'nonzero', '_unique2', 'unique_dim', 'unique_consecutive'),
    *('masked_select', 'equal', 'bincount', 'repeat_interleave'),
}
_COPIES = {'copy_', '_to_copy'}
_HALVED = ('linear', 'matmul', 'bmm', 'baddbmm', 'conv2d', 'scaled_dot_product_attention')
"""What autocast computes in half precision."""
# By the names of modules: the folder of a checkout may be called as a package.
_PACKAGES = re.compile(r'(semples_mmseg|mm\w+|open_clip)\.')
_kept = []


def start():
    """Make the device known to PyTorch and to MMEngine in this process."""
    _setup_privateuseone_for_python_backend(NAME)
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    aten, every = torch.library.Library('aten', 'IMPL'), torch.library.Library('_', 'IMPL')
    _kept.extend([aten, every])
    every.fallback(torch.library.fallthrough_kernel, 'AutocastPrivateUse1')
    for name, function in (
        ('empty.memory_format', lambda *a, **k: _made(torch.empty, *a, **k)),
        ('empty_strided', lambda *a, **k: _made(torch.empty_strided, *a, **k)),
        (
            '_copy_from',
            lambda a, b, wait=True: _run(torch.ops.aten.copy_.default, (b, a, not wait), {}),
        ),
    ):
        aten.impl(name, function, 'PrivateUse1')
    for name in _HALVED:
        aten.impl(name, functools.partial(_halved, name), 'AutocastPrivateUse1')
    torch.load = functools.partial(_load, torch.load)
    utils.DEVICE = NAME
    _Factories().__enter__()


class _Tensor(torch.Tensor):
    """A tensor of the device around one of the CPU."""

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, layout=held.layout, device=torch.device(NAME, 0),
        )  # fmt: skip
        made.held = held
        return made

    def __repr__(self, **_):
        return f'{NAME}({self.held})'

    def __reduce_ex__(self, protocol):
        return self.held.__reduce_ex__(protocol)  # files have tensors of the CPU

    def tolist(self):
        _note('tolist')
        return self.held.tolist()

    def numpy(self, *_, **__):
        raise TypeError(f'a tensor on {self.device} has no numpy(): copy it to the CPU')

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class _Factories(TorchDispatchMode):
    """Makes tensors on the device, and copies to it."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


def _run(operation, args, kwargs):
    """Run an operation on the held tensors; refuse two devices, and note what waits."""
    name = operation._schema.name.removeprefix('aten::')
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    there = [x for x in tensors if isinstance(x, _Tensor)]
    host = [x for x in tensors if not isinstance(x, _Tensor)]
    if there and name not in _COPIES and any(x.dim() for x in host):  # numbers may be on the CPU
        raise RuntimeError(f'{operation} on two devices: {[(*x.shape,) for x in host]} on the CPU')
    result_there = bool(there)
    if kwargs.get('device') is not None:
        result_there = torch.device(kwargs['device']).type == NAME
        kwargs = dict(kwargs, device=torch.device('cpu'))
    if there and name in _READS:
        _note(name)
    elif there and name.startswith(('index', '_index_put')) and isinstance(args[1], (list, tuple)):
        if any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]):
            _note('mask as index')
    elif name == '_to_copy' and there and not result_there:
        _note('copy to the CPU')
    elif name == '_to_copy' and host and result_there and not kwargs.get('non_blocking'):
        _note('copy to the device')
    elif name == 'copy_' and there and host and not (len(args) > 2 and args[2]):
        _note('copy to the device' if isinstance(args[0], _Tensor) else 'copy to the CPU')
    unwrap = lambda x: x.held if isinstance(x, _Tensor) else x  # noqa: E731
    found = operation(*tree_map(unwrap, args), **tree_map(unwrap, kwargs))
    for argument, value in zip(operation._schema.arguments, args, strict=False):
        if argument.alias_info and argument.alias_info.is_write and isinstance(found, torch.Tensor):
            return value
    wrap = lambda x: _Tensor(x) if isinstance(x, torch.Tensor) else x  # noqa: E731
    return tree_map(wrap, found) if result_there else found


def _note(what):
    """Count a wait under the line that asks for it; modules move and load once, uncounted."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name not in ('_apply', '_load_from_state_dict'):
        if _PACKAGES.match(module := frame.f_globals.get('__name__', '')):
            WAITS[f'{module.replace(".", "/")}.py', frame.f_lineno, what] += 1
            return
        frame = frame.f_back


def _made(function, *sizes, dtype=None, **_):
    return _Tensor(function(*sizes, dtype=dtype))


def _halved(name, *args, **kwargs):
    """Call an operation as autocast does."""
    half = torch.get_autocast_dtype(NAME)
    full = lambda x: isinstance(x, torch.Tensor) and x.dtype == torch.float32  # noqa: E731
    args, kwargs = tree_map(lambda x: x.to(half) if full(x) else x, (args, kwargs))
    with torch.autocast(NAME, enabled=False):
        return getattr(torch.ops.aten, name)(*args, **kwargs)


def _load(load, *args, map_location=None, **kwargs):
    """Read a file, whose tensors are of the CPU; who reads them moves them."""
    there = isinstance(map_location, str) and map_location == NAME
    return load(*args, map_location='cpu' if there else map_location, **kwargs)
