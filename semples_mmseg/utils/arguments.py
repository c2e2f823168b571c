"""The classes that a config names, and the arguments that they take."""

import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from mmengine import Registry

from .errors import Refusal


def check_arguments(
    registry: Registry, part: Mapping[str, Any], where: str, more: Iterable[str] = ()
) -> Callable:
    """Look up the class of a dictionary with ``type`` and check its arguments; nothing is built.

    Args:
        registry: Where the class is registered.
        part: The dictionary.
        where: Its place, for the message.
        more: Arguments from elsewhere, and other allowed keys.

    Returns:
        The class.

    Raises:
        ValueError: If there is no such class, a key is no argument of it, or a required argument is
            missing.
    """
    kind = part.get('type')
    built = registry.get(kind) if isinstance(kind, str) else kind
    if built is None:
        raise Refusal(f'{where}: there is no {kind!r}{hint(str(kind), types(registry))}')
    if not _takes_any(built):
        check_keys_of(part, {'type', *parameters(built), *more}, f'{where}: {built.__name__}')
    missing = [name for name in _required(built) if name not in (*part, *more)]
    if missing:
        raise Refusal(f'{where}: {built.__name__} needs {", ".join(map(repr, missing))}')
    return built


def check_keys_of(part: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Refuse keys that are not known.

    Raises:
        ValueError: For the first one; the message names it and the nearest known key.
    """
    for key in part:
        if key not in known and key != '_scope_':  # MMEngine's mark of a config that is inherited
            raise Refusal(f'{what} has no argument {key!r}{hint(key, known)}')


def hint(wrong: str, known: Collection[str]) -> str:
    """End of a message about an unknown name: the nearest known one, or all if they are few."""
    close = difflib.get_close_matches(wrong, known, 1)
    if close:
        return f'; did you mean {close[0]!r}?'
    return f'; there are {", ".join(sorted(known))}' if 0 < len(known) <= 40 else ''


def parameters(built: Callable) -> Iterator[str]:
    """Names of the arguments of a class, including those that it passes to its bases."""
    for call in _calls(built):
        given = inspect.signature(call).parameters.values()
        named = (p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        yield from (name for name in named if name != 'self')


def types(registry: Registry) -> set[str]:
    """Names that a config may give as type, without a scope."""
    above = types(registry.parent) if registry.parent else set()
    return set(registry.module_dict) | above


def _calls(built: Callable) -> Iterator[Callable]:
    """The functions that get the arguments: ``__init__`` of a class and of bases that it calls."""
    if not inspect.isclass(built):
        yield built
        return
    for base in built.__mro__:
        if '__init__' in vars(base):
            yield vars(base)['__init__']
            if not _is_open(vars(base)['__init__']):
                return


def _required(built: Callable) -> Iterator[str]:
    """Arguments without a default; those of bases are not needed, because the class passes them."""
    for p in inspect.signature(next(_calls(built))).parameters.values():
        named = p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        if named and p.default is p.empty and p.name != 'self':
            yield p.name


def _is_open(call: Callable) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(call).parameters.values())


def _takes_any(built: Callable) -> bool:
    return all(_is_open(call) for call in _calls(built))
