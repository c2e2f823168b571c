"""Evaluating a pickle as what it is in an honest checkpoint: a description of data.

A pickle is a small program: whoever wrote it names the functions that are called when it is read.
Here it can name only what a table holds, and the table's own functions do the work, so nothing of
Python, NumPy or PyTorch is ever called with arguments of the file's choosing.
``torch.load(weights_only=True)`` also keeps to a table, but to one of PyTorch's functions, which
differs by version: a hundred bytes make it allocate gigabytes, nested tuples as keys end the
process, NumPy's functions can be made to read foreign memory, and before PyTorch 2.6 it runs
TorchScript archives. See :mod:`.tensors` and :mod:`.arrays` for the tables.

Cost is bounded by the length of the pickle, some five bytes of memory for each: instructions are
counted, lengths are those that the file has, keys of dicts are such that hashing them is cheap,
and the result is no deeper, and written out no larger, than the limits here.
"""

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from .errors import ForeignNameError, PickleError

# Ten times those of a large model with the state of its optimizer.
MOST_INSTRUCTIONS = 300_000
MOST_DEPTH = 100
_LONGEST_LINE = 1 << 12

# Instructions that push what is written behind them, and those that push something new.
_WRITTEN = {
    # LONG4 has numbers of more than 255 bytes, with which counting takes long
    *('BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT'),
    *('BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8', 'BINSTRING', 'SHORT_BINSTRING'),
    *('BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8'),
}
_NEW: Mapping[str, Callable[[], Any]] = dict(
    EMPTY_DICT=dict,
    EMPTY_LIST=list,
    EMPTY_TUPLE=tuple,
    NONE=lambda: None,
    NEWTRUE=lambda: True,
    NEWFALSE=lambda: False,
)
_TUPLES = dict(TUPLE1=1, TUPLE2=2, TUPLE3=3)
_CONTAINERS = (dict, list, tuple, np.ndarray)


@dataclass(frozen=True)
class Names:
    """What a pickle may name.

    Attributes:
        find: Gives a function for ``'module name'``, which is called where the pickle wants that
            name to be called; or a value; or ``None`` for what is not admitted.
        states: For each type whose objects the pickle may give a state: a function of object and
            state that returns the finished object, the same or another one.
    """

    find: Callable[[str], Any]
    states: Mapping[type, Callable[[Any, Any], Any]]


@dataclass(frozen=True)
class Name:
    """A function of the table on its way to being called."""

    name: str
    function: Callable


class Bounded:
    """A binary file that gives no more than so many bytes and reserves no memory for others."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end; more than are allowed are an error."""
        if size > self._left:
            raise PickleError(f'a length of {size} bytes in it is more than there are')
        self._left -= size
        return self._file.read(size)

    def readline(self) -> bytes:
        """Read a line; lines in pickles are names, hence short."""
        line = self._file.readline(min(self._left, _LONGEST_LINE))
        self._left -= len(line)
        return line


def evaluate(
    file: IO[bytes],
    size: int,
    names: Names,
    persistent: Callable[[Any], Any] | None = None,
    most: int = MOST_INSTRUCTIONS,
) -> Any:
    """Evaluate the pickle that begins where a file stands.

    Args:
        file: Stands behind the pickle afterwards.
        size: Bytes that the file has from there on, or that the pickle may have.
        names: What the pickle may name.
        persistent: Gives what the pickle refers to without holding it.
        most: Instructions the pickle may have.

    Returns:
        Dicts, lists, tuples, plain values, and what the functions of ``names`` made.

    Raises:
        ForeignNameError: If it names anything else.
        PickleError: If it is damaged, forged, or larger than the limits of this module.
    """
    machine = _Machine(names, persistent)
    for count, (step, argument) in enumerate(instructions(file, size)):
        if count == most:
            raise PickleError(f'it has more than {most} instructions')
        machine.do(step, argument)
    result = machine.result()
    _check_extent(result, tuple(names.states), most)
    return result


def instructions(file: IO[bytes], size: int) -> Iterator[tuple[str, Any]]:
    """Name and argument of each instruction of a pickle, without doing any."""
    steps = pickletools.genops(cast(IO[bytes], Bounded(file, size)))
    while True:
        try:
            step, argument, _ = next(steps)
        except StopIteration:
            return
        except PickleError:
            raise
        except Exception as error:  # whatever genops meets in damaged bytes
            raise PickleError(f'{type(error).__name__}: {str(error)[:200]}') from None
        yield step.name, argument


class _Machine:
    """Stack and memo, and what each instruction does to them."""

    def __init__(self, names: Names, persistent: Callable[[Any], Any] | None) -> None:
        self._names = names
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        # Where objects that a state may replace are in the memo.
        self._places: dict[int, list[int]] = {}

    def do(self, step: str, argument: Any) -> None:
        """Do one instruction."""
        stack = self._stack
        try:
            if step in _WRITTEN:
                stack.append(argument)
            elif step in ('BINPUT', 'LONG_BINPUT', 'MEMOIZE'):
                self._put(len(self._memo) if step == 'MEMOIZE' else argument)
            elif step in ('BINGET', 'LONG_BINGET'):
                stack.append(self._memo[argument])
            elif step in _NEW:
                stack.append(_NEW[step]())
            elif step == 'MARK':
                self._marks.append(stack)
                self._stack = []
            elif step in ('TUPLE', 'APPENDS', 'SETITEMS'):
                self._stack = self._marks.pop()
                self._gather(step, stack)
            elif step in _TUPLES:
                items = tuple(stack[-_TUPLES[step] :])
                del stack[-_TUPLES[step] :]
                self._push_tuple(items, _TUPLES[step])
            elif step == 'APPEND':
                self._gather('APPENDS', [stack.pop()])
            elif step == 'SETITEM':
                value, key = stack.pop(), stack.pop()
                self._gather('SETITEMS', [key, value])
            elif step in ('REDUCE', 'NEWOBJ'):
                arguments, called = stack.pop(), stack.pop()
                stack.append(self._call(called, arguments))
            elif step in ('GLOBAL', 'STACK_GLOBAL'):
                if step == 'STACK_GLOBAL':
                    name, module = stack.pop(), stack.pop()
                    argument = f'{module} {name}' if type(name) is type(module) is str else ''
                stack.append(self._find(argument))
            elif step == 'BUILD':
                self._set_state(stack.pop())
            elif step == 'BINPERSID' and self._persistent is not None:
                stack.append(self._persistent(stack.pop()))
            elif step not in ('PROTO', 'FRAME', 'STOP'):
                raise PickleError(f'it has the instruction {step}, which no file of data needs')
        except PickleError:
            raise
        except (IndexError, KeyError) as error:
            raise PickleError(f'its instruction {step} lacks what it works on') from error

    def result(self) -> Any:
        """What is left at the end."""
        if self._marks or len(self._stack) != 1:
            raise PickleError('it does not end in one object')
        return self._stack.pop()

    def _put(self, place: int) -> None:
        value = self._memo[place] = self._stack[-1]
        if type(value) in self._names.states:
            self._places.setdefault(id(value), []).append(place)

    def _push_tuple(self, items: tuple, size: int) -> None:
        if len(items) != size:
            raise IndexError
        self._stack.append(items)

    def _gather(self, step: str, items: list[Any]) -> None:
        """Make a tuple of items, or put them into the list or dict on the stack."""
        if step == 'TUPLE':
            self._stack.append(tuple(items))
            return
        target = self._stack[-1]
        if step == 'APPENDS':
            if type(target) is not list:
                raise PickleError(f'it appends to a {type(target).__name__}')
            target.extend(items)
            return
        if type(target) not in (dict, OrderedDict) or len(items) % 2:
            raise PickleError(f'it sets items of a {type(target).__name__}')
        for key, value in zip(items[::2], items[1::2], strict=True):
            check_key(key)
            target[key] = value

    def _find(self, name: str) -> Any:
        found = self._names.find(name)
        if found is None:
            raise ForeignNameError(name.replace(' ', '.'))
        return Name(name, found) if callable(found) else found

    def _call(self, called: Any, arguments: Any) -> Any:
        if not isinstance(called, Name) or type(arguments) is not tuple:
            raise PickleError(f'it calls a {type(called).__name__}')
        try:
            return called.function(*arguments)
        except PickleError:
            raise
        except Exception as error:  # arguments of any kind and number
            told = f'{type(error).__name__}: {str(error)[:200]}'
            raise PickleError(f'its arguments for {called.name} are wrong ({told})') from None

    def _set_state(self, state: Any) -> None:
        target = self._stack[-1]
        function = self._names.states.get(type(target))
        if function is None:
            raise PickleError(f'it sets the state of a {type(target).__name__}')
        try:
            finished = function(target, state)
        except PickleError:
            raise
        except Exception as error:
            told = f'{type(error).__name__}: {str(error)[:200]}'
            raise PickleError(f'a state for a {type(target).__name__} is wrong ({told})') from None
        if finished is not target:
            self._stack[-1] = finished
            for place in self._places.pop(id(target), ()):
                self._memo[place] = finished


def check_key(key: Any) -> None:
    """Refuse keys that can be made to have one hash in common, or to be nested without end."""
    if type(key) is int and abs(key) < 1 << 60:
        return
    if key is not None and type(key) not in (str, bytes, bool, float):
        raise PickleError(f'it has a key of type {type(key).__name__}, or a number beyond 2^60')


def _check_extent(root: Any, kinds: tuple[type, ...], most: int) -> None:
    """Refuse structures that hold themselves, are deep, or grow large when written out.

    Whoever goes through such a structure, or shows it, would not come to an end.
    """
    containers = (*_CONTAINERS, *kinds)

    def holds_containers(value: Any) -> bool:
        return isinstance(value, containers) and any(
            isinstance(member, containers) for member in _members(value, kinds)
        )

    # Depth, and number of items with those of all below, of what holds containers; the depth of
    # what is not finished is 0.
    depths: dict[int, int] = {}
    items: dict[int, int] = {}
    waiting = [(root, 0, False)]
    while waiting:
        value, level, is_done = waiting.pop()
        if id(value) in items:
            continue
        inner = [member for member in _members(value, kinds) if holds_containers(member)]
        if is_done:
            count = sum(1 + _length(member) for member in _members(value, kinds))
            items[id(value)] = count + sum(items[id(member)] for member in inner)
            depths[id(value)] = 1 + max((depths[id(member)] for member in inner), default=0)
        elif id(value) in depths:
            raise PickleError('its data hold themselves')
        else:
            depths[id(value)] = 0
            waiting.append((value, level, True))
            waiting.extend((member, level + 1, False) for member in inner)
        if max(level, depths[id(value)]) > MOST_DEPTH or items.get(id(value), 0) > most:
            raise PickleError(f'its data are nested more than {MOST_DEPTH} deep, or too large')


def _length(value: Any) -> int:
    """Items of a list, tuple or dict."""
    return len(value) if isinstance(value, (list, tuple, dict)) else 0


def _members(value: Any, kinds: tuple[type, ...]) -> Iterator[Any]:
    """What a value is made of, if it is made of other values."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, np.ndarray) and value.dtype == object:
        yield from value.flat
    if isinstance(value, kinds):
        yield from vars(value).values()
