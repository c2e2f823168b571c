"""Refusing data sets whose classes differ from the model's."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from ..models import CAMSegmentor
from ..utils.classes import check_same_classes
from ..utils.errors import Refusal


def check_classes(model: nn.Module, metainfo: Mapping[str, Any], what: str = 'data set') -> None:
    """Refuse classes of a data set or a checkpoint (``what``) that differ from a model's.

    Args:
        model: With ``class_names`` their names and order are compared, else their number.
        metainfo: That of the data set, or ``dataset_meta`` of the checkpoint.
    """
    while isinstance(inner := getattr(model, 'module', None), nn.Module):
        model = inner
    given = tuple(metainfo.get('classes') or ())
    names, number = (getattr(model, key, None) for key in ('class_names', 'num_classes'))
    if given and names is not None:
        check_same_classes(('background', *names), given, what)
    if given and names is None and number is not None:
        number += isinstance(model, CAMSegmentor)
        if len(given) != number:
            raise Refusal(
                f'the {what} has {len(given)} classes with background, the model has {number}: '
                'set model.class_names to the names of the data set'
            )


@HOOKS.register_module()
class CheckClassesHook(Hook):
    """Check the data sets of training, validation and test by ``check_classes``.

    In a test the classes that the checkpoint was trained with are checked, too.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._trained: Mapping[str, Any] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._trained = checkpoint.get('meta', {}).get('dataset_meta') or {}

    def before_train(self, runner: Runner) -> None:
        check_classes(runner.model, runner.train_dataloader.dataset.metainfo)
        if runner.val_loop is not None:
            self.before_val(runner)

    def before_val(self, runner: Runner) -> None:
        check_classes(runner.model, runner.val_dataloader.dataset.metainfo)

    def before_test(self, runner: Runner) -> None:
        check_classes(runner.model, runner.test_dataloader.dataset.metainfo)
        check_classes(runner.model, self._trained, 'checkpoint')
