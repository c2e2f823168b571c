"""Reading configs and ``--cfg-options``; the classes that a config names, and their arguments."""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import mmengine.registry
from mmengine.config import Config, DictAction
from mmengine.registry import Registry

from .errors import Refusal

_REGISTRIES = {
    name: value for name, value in vars(mmengine.registry).items() if isinstance(value, Registry)
}
_EVALUATORS = ('val_evaluator', 'test_evaluator', 'pseudo_mask_evaluator', 'crf')
# Registries of the types below keys of a config; the last of a dotted key counts.
_KEYS = {
    'MODELS': ('model', 'tta_model', 'data_preprocessor'),
    'HOOKS': ('default_hooks', 'custom_hooks'),
    'LOOPS': ('train_cfg', 'val_cfg', 'test_cfg'),
    'DATASETS': ('dataset', 'datasets'),
    'TRANSFORMS': (
        *('pipeline', 'transforms', 'train_pipeline', 'switch_pipeline'),
        *('test_pipeline', 'tta_pipeline'),
    ),
    'METRICS': _EVALUATORS,
    'EVALUATOR': _EVALUATORS,
    'OPTIM_WRAPPERS': ('optim_wrapper',),
    'OPTIMIZERS': ('optimizer',),
    'PARAM_SCHEDULERS': ('param_scheduler',),
}


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """Values by key, read as MMEngine's ``DictAction`` does, which removes spaces from paths."""
    options = {}
    for text in texts:
        key, value = text.split('=', 1)
        if value.lstrip('[( ').startswith(('dict(', "{'", '{"')):
            raise Refusal(
                f'--cfg-options {key}={value}: values are numbers, texts and lists of these; put '
                'dictionaries into a config that inherits from yours'
            )
        if ',' in value or value.startswith(('(', '[')):
            options[key] = DictAction._parse_iterable(value)
        else:
            options[key] = DictAction._parse_int_float_bool(value.strip('\'"'))
    return options


def read_config(path: str | Path, options: Iterable[str] = ()) -> Config:
    """Read a config, and change it by options ``key=value``, which are not checked.

    An error names the file, perhaps a base, and the line.
    """
    if '{{' in os.path.abspath(path):  # filled in wherever a config names its folder
        raise Refusal(f'{path}: MMEngine takes {{{{ in a path for a variable: rename the folder')
    try:
        config = Config.fromfile(path)
    # Configs are Python files, with errors of all types.
    except Exception as error:
        reason, at = error.args[0] if isinstance(error, SyntaxError) else error, ''
        for frame, line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_name == '<module>':
                at = f' ({frame.f_code.co_filename}, line {line})'
            elif isinstance(error, SyntaxError) and 'filename' in frame.f_locals:
                read = frame.f_locals['filename']
                at = at if read == '<unknown>' else f' ({read}, line {error.lineno})'
        text = ' '.join(str(reason).split())
        raise Refusal(f'{path} cannot be read: {type(error).__name__}: {text}{at}') from error
    config.merge_from_dict(read_options(options))
    return config


def parts(at: Any, where: str = '') -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of the items of a dictionary or a list; none for other values."""
    items: Any = ()
    if isinstance(at, Mapping):
        items = at.items()
    elif isinstance(at, (list, tuple)):
        items = enumerate(at)
    for name, value in items:
        yield (f'{where}.{name}' if where else str(name)), value


def classes(kind: Any, where: str, scope: str) -> tuple[Callable, ...]:
    """Classes that a ``type`` may mean at a dotted key, by a default scope of the registries."""
    if not isinstance(kind, str):
        return (kind,) if callable(kind) else ()
    found: dict[Any, None] = {}
    # The scope of this package, which MMEngine gives to bases 'semples_mmseg::...', has all names
    # of MMSeg.
    scopes = [scope, 'mmseg'] if scope == 'semples_mmseg' else [scope]
    for name in registries_at(where) or _REGISTRIES:
        for key in [kind] if '.' in kind else [*(f'{s}.{kind}' for s in scopes), kind]:
            try:
                found[_REGISTRIES[name].get(key)] = None
            except Exception:  # MMEngine imports what the type names, which fails in any way
                continue
    return tuple(built for built in found if callable(built))


def registries_at(where: str) -> list[str]:
    """Names of the registries of the types at a dotted key; empty where all are possible."""
    words = where.split('.')
    if words[0] == 'pseudo_mask_evaluator' and 'refine' in words:
        return ['TASK_UTILS']
    if words[0] == 'default_hooks':
        del words[1:2]  # the name of a hook
    for word in reversed(words):
        if found := [name for name, keys in _KEYS.items() if word in keys]:
            return found
    return []


def type_names(where: str, scope: str) -> set[str]:
    """Names that a config may give as type at a dotted key, without a scope."""
    names: set[str] = set()
    for registry in map(_REGISTRIES.__getitem__, registries_at(where)):
        names.update(registry.module_dict)
        names.update(registry.children[scope].module_dict if scope in registry.children else ())
    return names


class Known(NamedTuple):
    """Arguments of a class, those it passes to its bases included, or keys of a part of a config.

    ``closed``: there are no others. ``needs``: those without a default, but for those of bases.
    """

    names: frozenset[str]
    closed: bool
    owner: str
    needs: tuple[str, ...] = ()


def arguments(built: Callable) -> Known:
    """What a class or function takes."""
    calls = [built]
    if inspect.isclass(built):
        calls = [vars(base)['__init__'] for base in built.__mro__ if '__init__' in vars(base)]
    ours = True
    known = Known(frozenset(), False, getattr(built, '__name__', str(built)))
    for call in calls:
        try:
            given = [*inspect.signature(call).parameters.values()]
        except (TypeError, ValueError):  # Python cannot look into it
            given = []
        passes = not given or any(p.kind is p.VAR_KEYWORD for p in given)
        kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
        named = [p for p in given if p.kind in kinds and p.name != 'self']
        if call is calls[0]:
            known = known._replace(needs=tuple(p.name for p in named if p.default is p.empty))
        if ours:
            known = known._replace(closed=not passes)
        ours = ours and str(getattr(call, '__module__', '')).startswith('semples_mmseg.')
        known = known._replace(names=known.names.union(p.name for p in named))
        if not passes:
            break
    return known
