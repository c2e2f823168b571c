"""The classes that a config names, and the arguments that they take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import mmengine.registry
from mmengine.registry import Registry

_REGISTRIES = {
    name: value for name, value in vars(mmengine.registry).items() if isinstance(value, Registry)
}
# Keys of a config -> the registries of the types below them; the last of a dotted key counts.
_PLACES = {
    **dict.fromkeys(('model', 'tta_model', 'data_preprocessor'), ('MODELS',)),
    **dict.fromkeys(('default_hooks', 'custom_hooks'), ('HOOKS',)),
    **dict.fromkeys(('train_cfg', 'val_cfg', 'test_cfg'), ('LOOPS',)),
    **dict.fromkeys(('dataset', 'datasets'), ('DATASETS',)),
    **dict.fromkeys(
        ('pipeline', 'transforms', 'train_pipeline', 'switch_pipeline'), ('TRANSFORMS',)
    ),
    **dict.fromkeys(('test_pipeline', 'tta_pipeline'), ('TRANSFORMS',)),
    **dict.fromkeys(('sampler', 'batch_sampler'), ('DATA_SAMPLERS',)),
    **dict.fromkeys(('collate_fn', 'worker_init_fn'), ('FUNCTIONS',)),
    **dict.fromkeys(('val_evaluator', 'test_evaluator'), ('METRICS', 'EVALUATOR')),
    **dict.fromkeys(('pseudo_mask_evaluator', 'crf'), ('METRICS', 'EVALUATOR')),
    **{'optim_wrapper': ('OPTIM_WRAPPERS',), 'optimizer': ('OPTIMIZERS',)},
    **{'param_scheduler': ('PARAM_SCHEDULERS',), 'init_cfg': ('WEIGHT_INITIALIZERS',)},
    **{'visualizer': ('VISUALIZERS',), 'vis_backends': ('VISBACKENDS',)},
    **{'log_processor': ('LOG_PROCESSORS',), 'model_wrapper_cfg': ('MODEL_WRAPPERS',)},
}


def kind_name(kind: Any) -> str:
    """Name of a class, or of a type as a config gives it, without package and scope."""
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def classes(kind: Any, where: str, scope: str) -> tuple[Callable, ...]:
    """Classes that a type may mean; empty if there is none.

    Args:
        kind: Value of ``type``.
        where: Dotted key of its dictionary.
        scope: Default scope of the registries.
    """
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


def registries_at(where: str) -> tuple[str, ...]:
    """Names of the registries of the types at a dotted key; empty where all are possible."""
    words = where.split('.')
    if words[0] == 'default_hooks':
        del words[1:2]  # the name of a hook
    keys = [key for key in words if key in _PLACES]
    return _PLACES[keys[-1]] if keys else ()


def type_names(where: str, scope: str) -> set[str]:
    """Names that a config may give as type at a dotted key, without a scope."""
    names: set[str] = set()
    for registry in map(_REGISTRIES.__getitem__, registries_at(where)):
        names.update(registry.module_dict)
        names.update(registry.children[scope].module_dict if scope in registry.children else ())
    return names


def parameters(built: Callable) -> Iterator[str]:
    """Names of the arguments of a class, including those that it passes to its bases."""
    for call in _calls(built):
        given = _signature(call)
        named = (p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        yield from (name for name in named if name != 'self')


def required(built: Callable) -> Iterator[str]:
    """Arguments without a default; not of base classes, to which the class passes them."""
    for p in _signature(next(_calls(built))):
        named = p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        if named and p.default is p.empty and p.name != 'self':
            yield p.name


def is_open(built: Callable) -> bool:
    """Whether a class or function takes any argument, or does not tell which.

    Classes of this package pass those that they do not name to their bases.
    """
    calls = list(_calls(built))
    ours = str(built.__module__).startswith('semples_mmseg.')
    return _takes_any(calls[-1 if ours else 0])


def _calls(built: Callable) -> Iterator[Callable]:
    """The functions that get the arguments: ``__init__`` of a class and of bases that it calls."""
    if not inspect.isclass(built):
        yield built
        return
    for base in built.__mro__:
        if '__init__' in vars(base):
            yield vars(base)['__init__']
            if base is object or not _takes_any(vars(base)['__init__']):
                return


def _takes_any(call: Callable) -> bool:
    given = _signature(call)
    return not given or any(p.kind is p.VAR_KEYWORD for p in given)


def _signature(call: Callable) -> list[inspect.Parameter]:
    """Empty for functions that Python cannot look into."""
    try:
        return list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        return []
