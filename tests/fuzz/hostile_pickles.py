"""Pickles for fuzzing: changed ones, such that would run code, and such that swell."""

import functools
import os
import pickle
import pickletools
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Numbers at which lengths, counts and offsets go wrong.
NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 64, 127, 128, 255, 256, 65535, 65536, -1, -2, -128, 10**6, 2**31 - 1),
    *(2**31, 2**32 - 1, 2**32, 10**12, 2**53, 2**61 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
# What would run code, read or write files, or reach memory, if it were called.
EVIL = (
    'os system', 'posix system', 'nt system', 'builtins eval', '__builtin__ eval',
    'builtins exec', 'builtins getattr', '__builtin__ getattr', 'builtins open', 'io open',
    'builtins __import__', 'builtins setattr', 'builtins bytearray', 'subprocess Popen',
    'subprocess check_output', 'pickle loads', '_pickle loads', 'torch load', 'torch.jit load',
    'torch.hub load', 'torch.serialization load', 'torch FloatTensor', 'torch Tensor',
    'torch.storage _load_from_bytes', 'torch._utils _rebuild_from_type_v2',
    'torch._tensor _rebuild_from_type_v2', 'torch._utils _rebuild_meta_tensor_no_storage',
    'torch._utils _rebuild_sparse_tensor', 'torch._utils _rebuild_qtensor',
    'torch._utils _rebuild_device_tensor_from_numpy', 'numpy load', 'numpy memmap',
    'numpy fromfile', 'numpy._core.multiarray _reconstruct', 'numpy.core.multiarray scalar',
    'numpy dtype', 'numpy ndarray', 'shutil rmtree', 'importlib import_module', 'runpy run_path',
    'functools partial', 'operator attrgetter', 'operator methodcaller', 'types FunctionType',
    'types CodeType', 'marshal loads', 'ctypes CDLL', 'socket create_connection',
    'webbrowser open', 'code interact', 'timeit timeit', 'pdb run', 'copyreg _reconstructor',
    'mmengine.config Config.fromfile', 'mmengine.logging.history_buffer HistoryBuffer.__init__',
    'semples_mmseg.checkpoints trust_checkpoints', 'collections defaultdict', 'bdb Bdb',
    'collections OrderedDict', 'collections Counter', 'argparse Namespace', 'torch Size',
    'torch device', '_codecs encode', 'torch._utils _rebuild_tensor_v2', '',
)  # fmt: skip


def split_pickle(data: bytes) -> list[bytes]:
    """The instructions of a pickle, each with what is written behind it."""
    places = [place for *_, place in pickletools.genops(data)]
    ends = [*places[1:], len(data)]
    return [data[a:b] for a, b in zip(places, ends, strict=True)]


def named(name: str) -> bytes:
    module, _, function = name.partition(' ')
    return b'c' + module.encode() + b'\n' + function.encode() + b'\n'


def integer(number: int) -> bytes:
    size = number.bit_length() // 8 + 1
    return b'\x8a' + bytes([size]) + number.to_bytes(size, 'little', signed=True)


def text(value: str) -> bytes:
    data = value.encode()
    return b'X' + struct.pack('<L', len(data)) + data


def change_pickle(data: bytes, rng: random.Random) -> bytes:
    """Change instructions: names, numbers, texts, order, and what is there at all."""
    steps = split_pickle(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(steps))
        kind = rng.randrange(9)
        if kind == 0:
            names = [i for i, step in enumerate(steps) if step[:1] == b'c'] or [at]
            steps[rng.choice(names)] = named(rng.choice(EVIL))
        elif kind == 1:
            numbers = [i for i, step in enumerate(steps) if step[:1] in b'KMJ\x8a'] or [at]
            steps[rng.choice(numbers)] = integer(rng.choice(NUMBERS))
        elif kind == 2:
            steps[at] = steps[rng.randrange(len(steps))]
        elif kind == 3:
            del steps[at]
        elif kind == 4:
            steps.insert(at, steps[rng.randrange(len(steps))])
        elif kind == 5:
            steps[at] = bytes([rng.randrange(256)]) + steps[at][1:]
        elif kind == 6:
            values = [i for i, step in enumerate(steps) if step[:1] in b'XKMJG\x88\x89N]})'] or [at]
            new = [b'N', b')', b'}', b']', b'\x88', text('x'), b'G' + struct.pack('>d', np.nan)]
            steps[rng.choice(values)] = rng.choice(new)
        elif kind == 7:
            steps[at:at] = [
                named(rng.choice(EVIL)),
                text('x'),
                b'\x85',
                rng.choice((b'R', b'\x81')),
            ]
        else:
            steps.insert(at, rng.choice((b'h\x00', b'h\x05', b'0', b'2', b'1', b'(', b'l', b'd')))
    return b''.join(steps)


class _Call:
    """Pickles as a call."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@functools.cache
def hostile(mark: str = 'executed') -> list[bytes]:
    """Pickles that run code, or try to: ``mark`` is a file that they would make."""
    code = f'open({mark!r}, "w").close()'
    system = text(f'touch {mark}')
    calls = [
        _Call(os.system, f'touch {mark}'),
        _Call(eval, code),
        _Call(exec, code),
        _Call(open, mark, 'w'),
        _Call(pickle.loads, pickle.dumps(_Call(eval, code))),
    ]
    found = [pickle.dumps(dict(a=1, b=call), p) for call in calls for p in (0, 1, 2, 3, 4, 5)]
    reduce = named('posix system') + system + b'\x85R'
    name = text('posix') + text('system') + b'\x93'
    evaluation = text(code) + b'\x85R'
    buffer = named('mmengine.logging.history_buffer HistoryBuffer')
    bodies = [
        reduce,
        b'(S' + repr(f'touch {mark}').encode() + b'\niposix\nsystem\n',  # INST
        b'(' + named('posix system') + system + b'o',  # OBJ
        name + system + b'\x85R',  # STACK_GLOBAL
        name + b'q\x07' + system + b'\x850h\x07' + system + b'\x85R',  # from the memo
        text('builtins') + b'q\x01' + b'0' + b'h\x01' + text('eval') + b'\x93' + evaluation,
        named('builtins eval') + system + b'\x85\x81',  # NEWOBJ
        named('builtins eval') + system + b'\x85}\x92',  # NEWOBJ_EX
        named('builtins eval') + b'}' + text('__setstate__') + text('x') + b'sb',
        named('collections OrderedDict') + b')R}' + text('__class__') + b'Nsb',
        named('collections OrderedDict') + b')R}' + text('copy') + name + b'sb',
        named('torch._utils _rebuild_tensor_v2') + b'}' + text('__code__') + b'Nsb',
        named('__builtin__ getattr') + buffer + text('__init__') + b'\x86R'
        b'q\x09' + named('__builtin__ getattr') + b'h\x09' + text('__globals__') + b'\x86R',
        named('__builtin__ getattr') + buffer + text('min') + b'\x86R)R',
        buffer + b')\x81}' + text('statistics_methods') + b'}' + text('min') + name + b'ssb',
        named('argparse Namespace') + b')\x81}' + text('__class__') + name + b'sb',
        named('numpy dtype') + text('O') + b'\x85R',
        named('numpy._core.multiarray scalar') + named('numpy dtype') + text('O')
        + b'\x85R' + text('A' * 8) + b'\x86R',
        b'P0\n', b'\x82\x01', b'\x83\x01\x00', b'\x84\x01\x00\x00\x00',
        text('posix system') + b'Q', reduce + b'Q',
        named('posix system\nx'), b'cposix\n', named('__main__ x'),
    ]  # fmt: skip
    found += [b'\x80\x02' + body + b'.' for body in bodies]
    return found + [b'\x80\x04}' + text('state_dict') + body + b's.' for body in bodies]


@functools.cache
def swollen() -> list[bytes]:
    """Pickles that cost much more than their size if they are taken at their word."""
    huge = struct.pack('<Q', 1 << 62)
    ascending = b''.join(integer((k + 1) * (2**61 - 1)) + b'N' for k in range(20_000))
    laughs = b']' + b''.join(
        b'q' + bytes([k]) + b'](' + b'h' + bytes([k]) + b'h' + bytes([k]) + b'e' for k in range(99)
    )
    # a tensor and an array with thousands of axes, each a number of hundreds of digits
    axes = b'(' + integer(2**2000) * 20_000 + b't'
    tensor = tensor_pickle(4, (4,), (1,))
    many_axes = tensor.replace(b'K\x04\x85', axes).replace(b'K\x01\x85', axes)
    array = named('numpy._core.multiarray _reconstruct') + b')R(K\x01' + axes
    array += named('numpy dtype') + text('f8') + b'\x85R\x89' + text('') + b'tb'
    deep = 100_000
    return [
        many_axes,
        b'\x80\x02' + array + b'.',
        b'\x80\x02\x8b' + struct.pack('<l', 1 << 20) + bytes(1 << 20) + b'.',
        b'\x80\x04\x8d' + huge + b'x.', b'\x80\x04\x8e' + huge + b'x.',
        b'\x80\x05\x96' + huge + b'x.', b'\x80\x02\x8b\xff\xff\xff\x7fx.',
        b'\x80\x02X\xff\xff\xff\xffx.', b'\x80\x04\x95' + huge + b'N.',
        b'\x80\x02' + b'(' * deep + b'N.', b'\x80\x02}K\x01' + b'\x85' * deep + b'K\x01s.',
        b'\x80\x02' + b']' * deep + b'.', b'\x80\x02]' + b']' * deep + b'a' * deep + b'.',
        b'\x80\x02}(' + ascending + b'u.', b'\x80\x02(' + laughs + b't.',
        b'\x80\x02]q\x00h\x00a.', b'\x80\x02}q\x00' + text('state_dict') + b'h\x00s.',
        b'\x80\x02' + named('torch FloatTensor') + integer(60000) * 2 + b'\x86R.',
        b'\x80\x02' + named('builtins bytearray') + integer(10**11) + b'\x85R.',
        b'\x80\x02' + named('numpy._core.multiarray _reconstruct')
        + named('numpy ndarray') + integer(10**11) + b'\x85' + text('b') + b'\x87R.',
        b'\x80\x02r\xff\xff\xff\xffN.', b'\x80\x02Nr\xff\xff\xff\x7f.',
        b'\x80\x02I' + b'9' * 200_000 + b'\n.', b'\x80\x02L' + b'9' * 200_000 + b'L\n.',
    ]  # fmt: skip


def tensor_pickle(
    count: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    names: Sequence[str] = 'w',
    offset: int = 0,
    keys: Sequence[str] = ('0',),
) -> bytes:
    """A state dict as a pickle: tensors of one size, in storages of so many floats."""
    values = b''.join(pickle.dumps(value, 2)[2:-1] for value in (offset, size, stride))
    body = b''
    for i, name in enumerate(names):
        storage = b'(' + text('storage') + named('torch FloatStorage')
        storage += text(keys[i % len(keys)]) + text('cpu') + integer(count) + b'tQ'
        body += text(name) + named('torch._utils _rebuild_tensor_v2') + b'(' + storage
        body += values + b'\x89' + named('collections OrderedDict') + b')RtR'
    return b'\x80\x02}(' + body + b'u.'
