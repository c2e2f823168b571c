"""What the data sets change in a pipeline, and what they refuse."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmcv.transforms import LoadImageFromFile

from .transforms import LimitSide


def with_checked_loader(pipeline: Sequence) -> list:
    """Load with ``LoadCheckedImage`` where a pipeline names MMCV's loader with Pillow.

    The data sets of this package then read photos in the same way in training and in tests, even if
    a config has MMSeg's usual test pipeline.
    """
    return [
        {**step, 'type': 'LoadCheckedImage'}
        if isinstance(step, Mapping)
        and step.get('type') in ('LoadImageFromFile', LoadImageFromFile)
        and step.get('imdecode_backend') == 'pillow'
        else step
        for step in pipeline
    ]


def set_max_side(node: Any, max_side: int) -> int:
    """Set the limit of every ``LimitSide`` in a part of a config; returns their number."""
    if isinstance(node, dict):
        if node.get('type') in ('LimitSide', LimitSide):
            node['max_side'] = max_side
            return 1
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        return sum(set_max_side(child, max_side) for child in node)
    return 0


def annotation_loaders(pipeline: Any) -> list[str]:
    """Names of the transforms that load annotations, those inside other transforms included."""
    names = (name.split('.')[-1] for name in _transform_names(pipeline))
    return [name for name in names if name.startswith('Load') and 'Annotation' in name]


def _transform_names(pipeline: Any) -> Iterable[str]:
    """Names of all transforms of a pipeline, those inside wrappers included."""
    if isinstance(pipeline, Mapping):
        kind = pipeline.get('type')
        if kind is not None:
            yield kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
        for value in pipeline.values():
            yield from _transform_names(value)
    elif isinstance(pipeline, (list, tuple)):
        for value in pipeline:
            yield from _transform_names(value)
    elif callable(pipeline) and not isinstance(pipeline, type):
        yield type(pipeline).__name__
        yield from _transform_names(getattr(pipeline, 'transforms', ()))
