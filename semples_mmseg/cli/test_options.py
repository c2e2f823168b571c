"""What the options of ``tools/test.py`` change in a config."""

from typing import Any

from mmengine.config import Config


def use_tta(config: Config) -> None:
    """Test with the config's multi-scale and flip augmentation.

    Raises:
        KeyError: If the config has none.
    """
    for key in ('tta_model', 'tta_pipeline'):
        if not config.get(key):
            raise KeyError(f'--tta: the config {config.filename} has no `{key}`')
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def write_predictions(config: Config, folder: str) -> None:
    """Write the predicted label maps too, as palette PNGs."""
    config.test_evaluator = [
        *_metrics(config),
        dict(type='PredictionWriter', out_dir=folder),
    ]


def use_crf(config: Config) -> None:
    """Put a dense CRF between predictions and metrics.

    Raises:
        KeyError: If the config does not say with which settings.
    """
    if config.get('crf') is None:
        raise KeyError(
            f'--crf: the config {config.filename} has no `crf`, the settings of CRFEvaluator'
        )
    config.test_evaluator = dict(type='CRFEvaluator', metrics=_metrics(config), **config.crf)


def _metrics(config: Config) -> list[Any]:
    """The config's metrics, one or several, as a list."""
    given = config.test_evaluator
    return list(given) if isinstance(given, (list, tuple)) else [given]
