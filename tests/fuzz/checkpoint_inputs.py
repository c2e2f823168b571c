"""Damaged, forged and hostile checkpoints, made from whole ones and from random numbers."""

import argparse
import functools
import io
import json
import os
import pickle
import pickletools
import random
import struct
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save

Make = Callable[[random.Random], bytes]

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


def checkpoint(optimizer: bool = True) -> dict[str, Any]:
    """What MMEngine and our hooks save, small."""
    generator = torch.Generator().manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5))
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator))
    state = module.state_dict()
    content: dict[str, Any] = dict(
        meta=dict(
            epoch=3,
            iter=120,
            cfg='model = dict()',
            seed=7,
            dataset_meta=dict(classes=('cat', 'dog'), palette=[[0, 0, 0], [1, 2, 3]]),
            stage=dict(index=0, name='match'),
        ),
        state_dict=state,
    )
    if optimizer:
        adam = torch.optim.AdamW(module.parameters())
        module(torch.rand(4, 6, generator=generator)).sum().backward()
        adam.step()
        hub = HistoryBuffer([0.5, 0.25], [1, 1])
        content |= dict(
            message_hub=dict(
                log_scalars=OrderedDict({'train/loss': hub}),
                runtime_info=OrderedDict(epoch=3, loss=np.float64(0.5)),
                resumed_keys=OrderedDict(epoch=True),
            ),
            optimizer=adam.state_dict(),
            param_schedulers=[dict(milestones=Counter([3, 5]), _global_step=3, last_step=3)],
            stage_snapshots={'mask_generator@match': {'0.weight': torch.ones(5, 6)}},
            rng=dict(numpy=np.random.RandomState(0).get_state(), torch=torch.arange(99).byte()),
            args=argparse.Namespace(lr=0.1, name='x'),
        )
    return content


def written(content: Any, **options: Any) -> bytes:
    """Bytes of ``torch.save``."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def sequence(content: Any) -> bytes:
    """Bytes as PyTorch wrote them before 1.6."""
    return written(content, _use_new_zipfile_serialization=False)


def labels() -> bytes:
    """An ``.npy`` file of the community's kind."""
    file = io.BytesIO()
    rows = {f'2007_{i:06d}': np.eye(3, dtype=np.float32)[i % 3] for i in range(8)}
    np.save(file, rows, allow_pickle=True)  # type: ignore[arg-type]
    return file.getvalue()


# --- damage to bytes of any kind -----------------------------------------------------------------


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut, splice, or overwrite with telling numbers."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        size = len(result)
        if not size:
            break
        at, other = rng.randrange(size), rng.randrange(size)
        length = rng.choice((1, 2, 4, 8, 64, 512))
        kind = rng.randrange(6)
        if kind == 0:
            for _ in range(rng.choice((1, 1, 4, 20))):
                result[rng.randrange(size)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del result[at if rng.random() < 0.5 else max(0, size - length) :]
        elif kind == 2:
            result[at : at + length] = result[other : other + length]
        elif kind == 3:
            result[at:at] = rng.randbytes(length)
        elif kind == 4:
            del result[at : at + length]
        else:
            form = rng.choice(('<B', '<H', '<L', '<Q', '>Q'))
            width = struct.calcsize(form)
            number = rng.choice(NUMBERS) % (1 << 8 * width)
            result[at : at + width] = struct.pack(form, number)
    return bytes(result)


# --- pickles -------------------------------------------------------------------------------------


def split_pickle(data: bytes) -> list[bytes]:
    """The instructions of a pickle, each with what is written behind it."""
    places = [place for *_, place in pickletools.genops(data)]
    ends = [*places[1:], len(data)]
    return [data[a:b] for a, b in zip(places, ends, strict=True)]


def _global(name: str) -> bytes:
    module, _, function = name.partition(' ')
    return b'c' + module.encode() + b'\n' + function.encode() + b'\n'


def _integer(number: int) -> bytes:
    size = number.bit_length() // 8 + 1
    return b'\x8a' + bytes([size]) + number.to_bytes(size, 'little', signed=True)


def _text(value: str) -> bytes:
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
            steps[rng.choice(names)] = _global(rng.choice(EVIL))
        elif kind == 1:
            numbers = [i for i, step in enumerate(steps) if step[:1] in b'KMJ\x8a'] or [at]
            steps[rng.choice(numbers)] = _integer(rng.choice(NUMBERS))
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
            new = [b'N', b')', b'}', b']', b'\x88', _text('x'), b'G' + struct.pack('>d', np.nan)]
            steps[rng.choice(values)] = rng.choice(new)
        elif kind == 7:
            steps[at:at] = [
                _global(rng.choice(EVIL)),
                _text('x'),
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
    system = _text(f'touch {mark}')
    calls = [
        _Call(os.system, f'touch {mark}'),
        _Call(eval, code),
        _Call(exec, code),
        _Call(open, mark, 'w'),
        _Call(pickle.loads, pickle.dumps(_Call(eval, code))),
    ]
    found = [pickle.dumps(dict(a=1, b=call), p) for call in calls for p in (0, 1, 2, 3, 4, 5)]
    reduce = _global('posix system') + system + b'\x85R'
    name = _text('posix') + _text('system') + b'\x93'
    evaluation = _text(code) + b'\x85R'
    buffer = _global('mmengine.logging.history_buffer HistoryBuffer')
    bodies = [
        reduce,
        b'(S' + repr(f'touch {mark}').encode() + b'\niposix\nsystem\n',  # INST
        b'(' + _global('posix system') + system + b'o',  # OBJ
        name + system + b'\x85R',  # STACK_GLOBAL
        name + b'q\x07' + system + b'\x850h\x07' + system + b'\x85R',  # from the memo
        _text('builtins') + b'q\x01' + b'0' + b'h\x01' + _text('eval') + b'\x93' + evaluation,
        _global('builtins eval') + system + b'\x85\x81',  # NEWOBJ
        _global('builtins eval') + system + b'\x85}\x92',  # NEWOBJ_EX
        _global('builtins eval') + b'}' + _text('__setstate__') + _text('x') + b'sb',
        _global('collections OrderedDict') + b')R}' + _text('__class__') + b'Nsb',
        _global('collections OrderedDict') + b')R}' + _text('copy') + name + b'sb',
        _global('torch._utils _rebuild_tensor_v2') + b'}' + _text('__code__') + b'Nsb',
        _global('__builtin__ getattr') + buffer + _text('__init__') + b'\x86R'
        b'q\x09' + _global('__builtin__ getattr') + b'h\x09' + _text('__globals__') + b'\x86R',
        _global('__builtin__ getattr') + buffer + _text('min') + b'\x86R)R',
        buffer + b')\x81}' + _text('statistics_methods') + b'}' + _text('min') + name + b'ssb',
        _global('argparse Namespace') + b')\x81}' + _text('__class__') + name + b'sb',
        _global('numpy dtype') + _text('O') + b'\x85R',
        _global('numpy._core.multiarray scalar') + _global('numpy dtype') + _text('O')
        + b'\x85R' + _text('A' * 8) + b'\x86R',
        b'P0\n', b'\x82\x01', b'\x83\x01\x00', b'\x84\x01\x00\x00\x00',
        _text('posix system') + b'Q', reduce + b'Q',
        _global('posix system\nx'), b'cposix\n', _global('__main__ x'),
    ]  # fmt: skip
    found += [b'\x80\x02' + body + b'.' for body in bodies]
    return found + [b'\x80\x04}' + _text('state_dict') + body + b's.' for body in bodies]


@functools.cache
def swollen() -> list[bytes]:
    """Pickles that cost much more than their size if they are taken at their word."""
    huge = struct.pack('<Q', 1 << 62)
    ascending = b''.join(_integer((k + 1) * (2**61 - 1)) + b'N' for k in range(20_000))
    laughs = b']' + b''.join(
        b'q' + bytes([k]) + b'](' + b'h' + bytes([k]) + b'h' + bytes([k]) + b'e' for k in range(99)
    )
    deep = 100_000
    return [
        b'\x80\x04\x8d' + huge + b'x.', b'\x80\x04\x8e' + huge + b'x.',
        b'\x80\x05\x96' + huge + b'x.', b'\x80\x02\x8b\xff\xff\xff\x7fx.',
        b'\x80\x02X\xff\xff\xff\xffx.', b'\x80\x04\x95' + huge + b'N.',
        b'\x80\x02' + b'(' * deep + b'N.', b'\x80\x02}K\x01' + b'\x85' * deep + b'K\x01s.',
        b'\x80\x02' + b']' * deep + b'.', b'\x80\x02]' + b']' * deep + b'a' * deep + b'.',
        b'\x80\x02}(' + ascending + b'u.', b'\x80\x02(' + laughs + b't.',
        b'\x80\x02]q\x00h\x00a.', b'\x80\x02}q\x00' + _text('state_dict') + b'h\x00s.',
        b'\x80\x02' + _global('torch FloatTensor') + _integer(60000) * 2 + b'\x86R.',
        b'\x80\x02' + _global('builtins bytearray') + _integer(10**11) + b'\x85R.',
        b'\x80\x02' + _global('numpy._core.multiarray _reconstruct')
        + _global('numpy ndarray') + _integer(10**11) + b'\x85' + _text('b') + b'\x87R.',
        b'\x80\x02r\xff\xff\xff\xffN.', b'\x80\x02Nr\xff\xff\xff\x7f.',
        b'\x80\x02I' + b'9' * 200_000 + b'\n.', b'\x80\x02L' + b'9' * 200_000 + b'L\n.',
    ]  # fmt: skip


# --- archives ------------------------------------------------------------------------------------


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Names and contents of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def zipped(entries: Sequence[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive, its sums correct."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', kind, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of names that are there twice
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, kind, compresslevel=1)
    return file.getvalue()


def change_archive(data: bytes, rng: random.Random) -> bytes:
    """Change, swap, repeat, rename, compress or leave out entries."""
    entries = members(data)
    at = rng.randrange(len(entries))
    name, content = entries[at]
    kind = rng.randrange(8)
    if kind == 0:
        entries[at] = name, damage(content, rng)
    elif kind == 1:
        entries[at] = name, entries[rng.randrange(len(entries))][1]
    elif kind == 2:
        del entries[at]
    elif kind == 3:
        new = rng.choice((name, f'../{name}', f'/{name}', 'data.pkl', 'x/data.pkl', 'é\0/x'))
        entries.append((new, content))
    elif kind == 4:
        return zipped([*entries, ('archive/data/0', bytes(4 << 20))], zipfile.ZIP_DEFLATED)
    elif kind == 5:
        entries[at] = name, content + bytes(rng.choice((1, 4, 1000)))
    elif kind == 6:
        return _enlarge(zipped(entries), rng)
    else:
        nan = struct.pack('<f', rng.choice((np.nan, np.inf, -np.inf)))
        entries[at] = name, nan * max(1, len(content) // 4)
    return zipped(entries)


def _enlarge(data: bytes, rng: random.Random) -> bytes:
    """Have the list of contents claim other sizes and places."""
    result = bytearray(data)
    places = [i for i in range(len(result) - 46) if result[i : i + 4] == b'PK\x01\x02']
    at = rng.choice(places)
    for field in rng.sample((16, 20, 24, 42), rng.choice((1, 2))):
        number = rng.choice(NUMBERS) % (1 << 32)
        result[at + field : at + field + 4] = struct.pack('<L', number)
    if rng.random() < 0.3:
        result[-10:-6] = struct.pack('<L', rng.choice(NUMBERS) % (1 << 32))
    return bytes(result)


def with_pickle(data: bytes, pickled: bytes) -> bytes:
    """An archive with another ``data.pkl``."""
    return zipped([(n, pickled if n.endswith('/data.pkl') else c) for n, c in members(data)])


def inner_pickle(data: bytes) -> bytes:
    """The ``data.pkl`` of an archive."""
    return next(content for name, content in members(data) if name.endswith('/data.pkl'))


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
        storage = b'(' + _text('storage') + _global('torch FloatStorage')
        storage += _text(keys[i % len(keys)]) + _text('cpu') + _integer(count) + b'tQ'
        body += _text(name) + _global('torch._utils _rebuild_tensor_v2') + b'(' + storage
        body += values + b'\x89' + _global('collections OrderedDict') + b')RtR'
    return b'\x80\x02}(' + body + b'u.'


def bombs(size: int) -> list[bytes]:
    """Checkpoints of no more than so many bytes that claim, or unfold to, many times as many."""
    half, names = size // 8, [str(i) for i in range(8)]
    pickled = tensor_pickle(half, (half,), (1,), names, keys=names)
    entries = [('a/data.pkl', pickled), ('a/data/0', bytes(4 * half))]
    deflated = zipped(
        [entries[0], *((f'a/data/{name}', bytes(4 * half)) for name in names)], zipfile.ZIP_DEFLATED
    )
    # eight entries at the place of one
    one = bytearray(zipped([*entries, *((f'a/data/{name}', b'') for name in names[1:])]))
    places = [i for i in range(len(one) - 2000, len(one) - 46) if one[i : i + 4] == b'PK\x01\x02']
    for at in places[1:]:
        one[at + 16 : at + 28] = one[places[0] + 16 : places[0] + 28]
        one[at + 42 : at + 46] = one[places[0] + 42 : places[0] + 46]
    shared = zipped([(entries[0][0], tensor_pickle(half, (half,), (1,), names)), entries[1]])
    expanded = dict(state_dict=dict(w=torch.zeros(1).expand(10**6, 10**6)))
    long = b'\x80\x02' + _text('\U00010000' + 'a' * half) + b'.'
    empty = written(dict(state_dict={}))
    return [
        deflated,
        bytes(one),
        shared,
        written(expanded),
        sequence(expanded),
        with_pickle(empty, b'\x80\x02' + b']' * half + b'.'),
        with_pickle(empty, b'\x80\x02(' + b']' * half + b't.'),
        with_pickle(empty, long),
    ]


# --- inputs for each loader ----------------------------------------------------------------------


def of_archives(whole: Sequence[bytes]) -> Make:
    """Inputs made from zip archives with pickles in them."""

    def make(rng: random.Random) -> bytes:
        data, kind = rng.choice(whole), rng.random()
        if kind < 0.2:
            return damage(data, rng)
        if kind < 0.4:
            return change_archive(data, rng)
        if kind < 0.75:
            return with_pickle(data, change_pickle(inner_pickle(data), rng))
        if kind < 0.8:
            return with_pickle(data, damage(inner_pickle(data), rng))
        if kind < 0.95:
            return with_pickle(data, rng.choice(hostile()))
        return with_pickle(data, rng.choice(swollen())) if kind < 0.96 else data

    return make


def of_pickles(whole: bytes, head: int) -> Make:
    """Inputs made from a file with a pickle behind ``head`` bytes."""
    pickled = pickle_at(whole, head)
    tail = whole[head + len(pickled) :]

    def make(rng: random.Random) -> bytes:
        kind = rng.random()
        if kind < 0.3:
            return damage(whole, rng)
        if kind < 0.8:
            return whole[:head] + change_pickle(pickled, rng) + tail
        if kind < 0.95:
            return whole[:head] + rng.choice(hostile()) + tail
        return whole[:head] + rng.choice(swollen()) + tail if kind < 0.96 else whole

    return make


def pickle_at(data: bytes, place: int) -> bytes:
    """The pickle that begins somewhere in a file."""
    file = io.BytesIO(data)
    file.seek(place)
    for _ in pickletools.genops(file):
        pass
    return data[place : file.tell()]


def of_sequences(whole: bytes) -> Make:
    """Inputs made from PyTorch's older files: the fourth pickle is the content."""
    place = 0
    for _ in range(3):
        place += len(pickle_at(whole, place))
    return of_pickles(whole, place)


def of_safetensors(whole: bytes) -> Make:
    """Inputs made from a safetensors file: its header is JSON behind a length."""
    (length,) = struct.unpack('<Q', whole[:8])
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return damage(whole, rng)
        changed = json.loads(json.dumps(header))
        entry = changed[rng.choice([key for key in changed if key != '__metadata__'])]
        kind = rng.randrange(7)
        if kind == 0:
            entry['shape'] = [rng.choice(NUMBERS) for _ in range(rng.randrange(5))]
        elif kind == 1:
            entry['dtype'] = rng.choice(('F64', 'F16', 'BF16', 'I64', 'BOOL', 'F8_E4M3', 'X', 3))
        elif kind == 2:
            entry['data_offsets'] = [rng.choice(NUMBERS), rng.choice(NUMBERS)]
        elif kind == 3:
            entry.pop(rng.choice(list(entry)))
        elif kind == 4:
            changed[rng.choice(('x', '', '../x', '"\n', 'token_embedding.size'))] = dict(entry)
        elif kind == 5:
            nested = '[' * rng.choice((10, 1000, 100_000))
            return struct.pack('<Q', len(nested)) + nested.encode() + data
        text = json.dumps(changed).encode()
        size = rng.choice(NUMBERS) % (1 << 64) if kind == 6 else len(text)
        noise = struct.pack('<f', rng.choice((np.nan, 1e30, -1.0))) * (len(data) // 4 + 1)
        return struct.pack('<Q', size) + text + (data if rng.random() < 0.7 else noise[: len(data)])

    return make


def safetensors(tensors: dict[str, torch.Tensor]) -> bytes:
    """Bytes of a safetensors file."""
    return save(tensors)


def torchscript() -> bytes:
    """A TorchScript archive as OpenAI publishes, of a small module."""

    class Inner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(3, 4)
            self.register_buffer('part', torch.arange(12.0).reshape(3, 4)[:, 1:3])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) + self.part[0, 0]

    torch.manual_seed(0)
    traced = torch.jit.trace(torch.nn.Sequential(Inner(), torch.nn.LayerNorm(4)), torch.rand(2, 3))
    file = io.BytesIO()
    torch.jit.save(traced.half(), file)
    return file.getvalue()


def one_of(*makes: Make) -> Make:
    """Inputs of several kinds in turn."""
    return lambda rng: rng.choice(makes)(rng)


def write(path: Path, data: bytes) -> Path:
    """Write a file and give its path."""
    path.write_bytes(data)
    return path
