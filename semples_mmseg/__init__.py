"""SemPLeS on MMSegmentation; importing the package registers all of its components.

The console script ``semples-mmseg``, ``python -m semples_mmseg`` and the tools do not register them
on import, which is slow; they call ``register_components`` when they need MMSegmentation.
"""

import importlib
import importlib.util
from typing import Any

from . import environment
from .version import __version__

_CALLS = {
    'fit': 'photos.fit',
    'label': 'photos.fit',
    'load': 'photos.predicting',
    'export': 'photos.exports.writing',
    'import_masks': 'photos.imports.writing',
    'retrain': 'photos.retrain',
}
"""Functions behind the commands, and their modules, which are imported on first use."""

__all__ = ['__version__', 'environment', 'register_components', *_CALLS]


def __getattr__(name: str) -> Any:
    if name not in _CALLS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'.{_CALLS[name]}', __name__), name)


def register_components() -> None:
    """Import OpenMMLab's packages and register every component of this package.

    Raises:
        ImportError: If the packages of OpenMMLab are missing or do not fit together.
    """
    environment.check()
    with environment.quiet_imports():
        import mmcv.cnn.bricks.transformer  # noqa: F401
        import mmpretrain.datasets  # noqa: F401
        import mmseg.datasets  # noqa: F401

    environment.register_config_packages()

    from . import datasets, engine, figures, models, registry, weights  # noqa: F401
    from .masks import (  # noqa: F401
        pamr,
        patch_affinity,
        prediction_metric,
        prediction_writer,
        refinement,
        segment_voting,
        threshold_curve,
        writer,
    )


# Without PyTorch no components are registered; `load` of an ONNX file still works.
if not environment.is_command_line() and importlib.util.find_spec('torch') is not None:
    register_components()
