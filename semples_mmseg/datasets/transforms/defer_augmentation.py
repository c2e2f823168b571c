"""Augmentation whose random numbers the loader draws and the device applies."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, RandomFlip
from mmpretrain.datasets.transforms import RandAugment, RandomErasing
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal

Step = tuple[Any, ...]
"""Name of an operation of ``semples_mmseg.models.augmentation``, and its numbers."""

# Operations of RandAugment whose magnitude may turn negative.
_SIGNED = ('Rotate', 'Shear', 'Translate', 'ColorTransform', 'Contrast', 'Brightness', 'Sharpness')
_GEOMETRIC = ('Rotate', 'Shear', 'Translate')
_FIXED = dict(Rotate='angle', Solarize='thr', Posterize='bits')
_PLAIN = ('AutoContrast', 'Equalize', 'Invert')
_KNOWN = (*_SIGNED, *_PLAIN, 'Solarize', 'SolarizeAdd', 'Posterize')


@TRANSFORMS.register_module()
class DeferAugmentation(BaseTransform):
    """Draw the random choices of transforms, which ``CAMDataPreprocessor`` applies.

    The transforms draw their choices in their usual order, so the distribution is unchanged. They
    do not change the image.

    Args:
        transforms: Configs of ``RandomFlip`` (MMCV), ``RandAugment`` and ``RandomErasing``
            (MMPretrain), at most one each, in any order.

    Raises:
        ValueError: If a transform, or one of its operations or options, cannot be computed on the
            device; names it.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]]) -> None:
        self._draws = [_draw_of(config) for config in transforms]

    def transform(self, results: dict) -> dict:
        """Draw the choices for one image.

        Args:
            results: An item with ``img``.

        Returns:
            The item with ``augmentation``, a list of steps: names and numbers.
        """
        height, width = results['img'].shape[:2]
        steps: list[Step] = []
        for draw in self._draws:
            steps += draw(height, width)
        results['augmentation'] = steps
        return results


def _draw_of(config: dict[str, Any]) -> Callable[[int, int], list[Step]]:
    transform = TRANSFORMS.build(config)
    if isinstance(transform, RandomFlip):
        return lambda height, width: _flip(transform)
    if isinstance(transform, RandomErasing):
        if transform.mode == 'rand' and transform.fill_std is None:
            raise Refusal(
                'RandomErasing fills with uniform noise, which cannot be computed on the device: '
                'set fill_std'
            )
        return lambda height, width: _erase(transform, height, width)
    if isinstance(transform, RandAugment):
        for operation in transform.transforms:
            _check_operation(operation)
        return lambda height, width: [
            step
            for index in transform.random_policy_indices()
            for step in _operation(transform.transforms[index], height, width)
        ]
    raise Refusal(
        f'{config["type"]} cannot be computed on the device; RandomFlip, RandAugment and '
        "RandomErasing can. Leave it out, or set model.data_preprocessor.augment_on='loader'"
    )


def _flip(transform: RandomFlip) -> list[Step]:
    direction = transform._choose_direction()
    return [] if direction is None else [(f'flip {direction}',)]


def _erase(transform: RandomErasing, height: int, width: int) -> list[Step]:
    if transform.random_disable():
        return []
    patch = transform.random_patch(height, width)
    std = (0, 0, 0) if transform.mode == 'const' else transform.fill_std
    # The noise itself is drawn on the device.
    seed = int(np.random.randint(2**31))
    return [('erase', *map(int, patch), *transform.fill_color, *std, seed)]


def _check_operation(operation: Any) -> None:
    kind = type(operation).__name__
    if kind not in _KNOWN:
        raise Refusal(
            f'{kind} of RandAugment cannot be computed on the device; {", ".join(_KNOWN)} can'
        )
    if kind in _GEOMETRIC and operation.interpolation != 'bicubic':
        raise Refusal(
            f"{kind} of RandAugment is computed with interpolation='bicubic' on the device, not "
            f'{operation.interpolation!r}'
        )
    if kind == 'Rotate' and (operation.center is not None or operation.scale != 1):
        raise Refusal('Rotate of RandAugment has no center and scale on the device')


def _operation(operation: Any, height: int, width: int) -> list[Step]:
    """The steps of an operation of RandAugment; none if chance switches it off."""
    kind = type(operation).__name__
    if operation.random_disable():
        return []
    if kind in _PLAIN:
        return [(kind,)]
    value = getattr(operation, _FIXED.get(kind, 'magnitude'))
    value = operation.random_magnitude() if value is None else value
    if kind in _SIGNED:
        value = operation.random_negative(value)
    if kind == 'SolarizeAdd':
        return [(kind, value, operation.thr)]
    if kind not in _GEOMETRIC:
        return [(kind, value)]
    pad = operation.pad_val
    pad = tuple(pad) if isinstance(pad, Sequence) else (pad,) * 3
    if kind == 'Rotate':
        return [(kind, value, *pad)]
    if kind == 'Translate':
        value *= width if operation.direction == 'horizontal' else height
    return [(f'{kind} {operation.direction}', value, *pad)]
