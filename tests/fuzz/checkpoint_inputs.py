"""Damaged, forged and hostile checkpoints, made from whole ones and from random numbers."""

import argparse
import io
import json
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
from hostile_pickles import (
    NUMBERS,
    change_pickle,
    hostile,
    swollen,
    tensor_pickle,
    text,
)
from mmengine.logging import HistoryBuffer
from safetensors.torch import save

Make = Callable[[random.Random], bytes]


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
    long = b'\x80\x02' + text('\U00010000' + 'a' * half) + b'.'
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
        told = json.dumps(changed).encode()
        size = rng.choice(NUMBERS) % (1 << 64) if kind == 6 else len(told)
        noise = struct.pack('<f', rng.choice((np.nan, 1e30, -1.0))) * (len(data) // 4 + 1)
        return struct.pack('<Q', size) + told + (data if rng.random() < 0.7 else noise[: len(data)])

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
