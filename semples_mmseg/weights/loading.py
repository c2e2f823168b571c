"""Putting weights into a module: through any ``init_cfg``, checked and reported."""

import logging
from typing import Any

from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from mmengine.model.weight_init import update_init_info
from mmengine.runner import CheckpointLoader
from mmseg.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from .layouts import Weights, describe, name_weights, read_weights
from .reading import find_tensors, read_checkpoint, resolve

SCHEME = 'weights:'


def with_scheme(path: str) -> str:
    """Put ``weights:`` before a path, unless it is an address such as ``https://...``."""
    return path if path.startswith(SCHEME) or '://' in path else SCHEME + path


# Their first axis counts classes.
_PER_CLASS = ('head.weight', 'head.bias', 'prompts')


def load_weights(module: nn.Module, path: str, prefix: str | None = None) -> None:
    """Load a file of weights into a module and log what became of every tensor.

    A file in MMPretrain's names for a whole classifier is understood too: where none of its names
    fit, those below ``backbone.`` are tried.

    Args:
        module: Where the tensors go.
        path: See :func:`read_weights`.
        prefix: Only names that begin so are meant, without the prefix; e.g. ``mask_generator.``.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it cannot be read safely, has nothing for this module, or tensors of other
            shapes than the module's; the message says file, tensor and likely reason.
    """
    weights = read_weights(path)
    own = module.state_dict()
    if prefix is None and not own.keys() & weights.tensors.keys():
        prefix = 'backbone.'
    prefix = prefix or ''
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    tensors = {
        name.removeprefix(prefix): value
        for name, value in weights.tensors.items()
        if name.startswith(prefix)
    }
    used = own.keys() & tensors.keys()
    if not used:
        raise ValueError(_nothing_fits(module, weights))
    try:
        result = module.load_state_dict(tensors, strict=False)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f'{weights.path} ({weights.layout}) does not fit {type(module).__name__}: '
            f'{_misfit(tensors, own) or error}'
        ) from error
    taken = {prefix + name for name in used}
    unused = [source for name, source in weights.sources.items() if name not in taken]
    print_log(
        describe(
            weights,
            len(used),
            len(weights.tensors) + len(weights.unused),
            [*unused, *weights.unused],
            result.missing_keys,
        ),
        'current',
        logging.WARNING if result.missing_keys else logging.INFO,
    )


def _nothing_fits(module: nn.Module, weights: Weights) -> str:
    parts = sorted({name.split('.')[0] for name in weights.tensors})
    return (
        f'{weights.path} ({weights.layout}) has no tensor of {type(module).__name__}; its parts '
        f'are {", ".join(parts)}. Take another file, or set init_cfg.prefix to the part that is '
        "meant, e.g. 'mask_generator.', or to None"
    )


def _misfit(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    """What is wrong with the first tensors of another shape; empty if there are none."""
    misfits = []
    for name, value in tensors.items():
        here = own[name].shape if name in own else value.shape
        # Position embeddings are fitted while they are loaded.
        if value.shape == here or name.endswith('pos_embed'):
            continue
        if name.endswith('cls_token') and value.shape[1] != here[1]:
            if value.shape[1] > 1:
                return f'it is for {value.shape[1]} classes, the model has {here[1]}'
        elif name.endswith(_PER_CLASS) and value.shape[0] != here[0]:
            return f'it is for {value.shape[0]} classes, the model has {here[0]}'
        else:
            misfits.append(f'{name} is {(*value.shape,)} there and {(*here,)} here')
    if not misfits:
        return ''
    more = f' and {len(misfits) - 3} more' if len(misfits) > 3 else ''
    return (
        f'{"; ".join(misfits[:3])}{more}. Widths, patches or lengths differ: take the file of this '
        'model, or change the config'
    )


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedWeights(PretrainedInit):
    """``dict(type='Pretrained', checkpoint='weights:PATH', prefix=...)`` in MMSeg's scope.

    For a path that begins with ``weights:``, every tensor must fit; see :func:`load_weights`. All
    other paths are MMEngine's business, which only warns where shapes differ. The name must be
    ``Pretrained``, as MMEngine initialises such modules last.
    """

    def __call__(self, module: nn.Module) -> None:
        """Initialise a module."""
        if not self.checkpoint.startswith(SCHEME):
            super().__call__(module)
            return
        load_weights(module, self.checkpoint.removeprefix(SCHEME), self.prefix)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def _load_for_mmengine(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Serve ``weights:PATH`` to MMEngine, e.g. as ``load_from``, also to resume from."""
    del map_location  # weights are few and move with the model
    path = filename.removeprefix(SCHEME)
    content = read_checkpoint(path)
    weights = name_weights(resolve(path), find_tensors(content, resolve(path)))
    print_log(weights.describe(), 'current')
    rest = content if 'state_dict' in content else {}
    return {**rest, 'state_dict': weights.tensors}
