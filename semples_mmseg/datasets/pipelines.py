"""What the data sets change in a pipeline, and what they refuse."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmcv.transforms import LoadImageFromFile

from ..utils.errors import Refusal
from .transforms import LimitSide


def with_checked_loader(pipeline: Sequence) -> list:
    """Load with ``LoadCheckedImage`` where a pipeline names MMCV's loader with Pillow.

    The data sets of this package then read photos in the same way in training and in tests, even if
    a config has MMSeg's usual test pipeline.

    Args:
        pipeline: Transforms or their configs.

    Returns:
        The pipeline with ``type='LoadCheckedImage'`` in the place of ``'LoadImageFromFile'`` with
        ``imdecode_backend='pillow'``.
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
    """Set the limit of every ``LimitSide`` in a config or a part of it.

    Args:
        node: Changed in place.
        max_side: Longest side in pixels.

    Returns:
        Number of ``LimitSide`` transforms.
    """
    if isinstance(node, dict):
        if node.get('type') in ('LimitSide', LimitSide):
            node['max_side'] = max_side
            return 1
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        return sum(set_max_side(child, max_side) for child in node)
    return 0


def augmented_on_device(pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The training pipeline with augmentation on the device, with the same distribution.

    ``CAMDataPreprocessor`` applies what is drawn here. Loading and the random crop become
    one step, and the random numbers of an image depend on (seed, epoch, image) alone.

    Args:
        pipeline: Configs: ``LoadCheckedImage``, maybe ``RandomResizedCrop``, what
            ``DeferAugmentation`` takes, and ``PackWeakInputs``.

    Raises:
        ValueError: If the pipeline has other transforms or another order.
    """
    load, *steps = with_checked_loader(pipeline)
    pack = steps.pop() if steps else {}
    if _base_name(load) != 'LoadCheckedImage' or _base_name(pack) != 'PackWeakInputs':
        raise Refusal(
            "model.data_preprocessor.augment_on='device' needs a training pipeline that begins "
            f'with LoadCheckedImage and ends with PackWeakInputs, got {_base_name(load)} and '
            f'{_base_name(pack)}'
        )
    load = dict(load)
    if steps and _base_name(steps[0]) == 'RandomResizedCrop':
        crop = dict(steps.pop(0))
        del crop['type']
        load.update(type='LoadRandomCrop', crop=crop)
    return [
        dict(type='SeedEachImage'),
        load,
        dict(type='DeferAugmentation', transforms=steps),
        pack,
    ]


def _base_name(step: Mapping[str, Any]) -> str:
    return str(step.get('type', 'nothing')).rsplit('.', 1)[-1]


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
