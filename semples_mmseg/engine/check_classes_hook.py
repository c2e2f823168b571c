"""Refusing data sets whose classes differ from the model's."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from ..models import CAMSegmentor
from ..utils.errors import Refusal


def check_classes(model: nn.Module, dataset: Any) -> None:
    """Compare the classes of a data set and of a model.

    Args:
        model: With ``class_names`` their names and order are compared, without them their number.
            Wrappers (several processes, test-time augmentation) are unwrapped.
        dataset: A data set with ``metainfo``.

    Raises:
        Refusal: If they differ; the message has both lists.
    """
    while isinstance(inner := getattr(model, 'module', None), nn.Module):
        model = inner
    given = tuple(dataset.metainfo.get('classes') or ())
    names, number = (getattr(model, key, None) for key in ('class_names', 'num_classes'))
    if given and names is not None and given != ('background', *names):
        what = 'order' if {*given} == {'background', *names} else 'names'
        raise Refusal(
            f'the classes of the data set and of the model differ in their {what}:\n'
            f'  data set: {", ".join(given)}\n'
            f'  model:    {", ".join(("background", *names))}\n'
            'Give model.class_names and the class_names of all data sets the same value'
        )
    if given and names is None and number is not None:
        number += isinstance(model, CAMSegmentor)
        if len(given) != number:
            raise Refusal(
                f'the data set has {len(given)} classes with background, the model has {number}: '
                'set model.class_names to the names of the data set'
            )


@HOOKS.register_module()
class CheckClassesHook(Hook):
    """Check the data sets of training, validation and test by ``check_classes``."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        check_classes(runner.model, runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            self.before_val(runner)

    def before_val(self, runner: Runner) -> None:
        check_classes(runner.model, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        check_classes(runner.model, runner.test_dataloader.dataset)
