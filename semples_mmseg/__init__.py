"""SemPLeS on MMSegmentation; importing the package registers all of its components."""

from . import environment

environment.check()

with environment.quiet_imports():
    import mmcv.cnn.bricks.transformer  # noqa: F401
    import mmpretrain.datasets  # noqa: F401
    import mmseg.datasets  # noqa: F401

environment.register_config_packages()

from . import (  # noqa: E402
    datasets,
    engine,
    evaluation,
    models,
    pseudo_masks,
    refinement,
    visualization,
    weights,
)
from .version import __version__  # noqa: E402

__all__ = [
    '__version__',
    'datasets',
    'engine',
    'environment',
    'evaluation',
    'models',
    'pseudo_masks',
    'refinement',
    'visualization',
    'weights',
]
