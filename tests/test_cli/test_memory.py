"""What a step keeps, estimated without running it; and the advice made of it."""

import copy
import types

import pytest
import torch
from mmseg.registry import MODELS
from tiny import TINY_SEMPLES
from torch.autograd.graph import saved_tensors_hooks

from semples_mmseg.cli.memory import kept_for_backward, memory_advice, memory_explained
from semples_mmseg.models.stages import STAGES


class Images(list):
    """Labels of images, as a data set has them."""

    def get_data_info(self, index):
        return dict(image_labels=self[index])


@pytest.fixture(scope='module')
def model():
    return MODELS.build(copy.deepcopy(TINY_SEMPLES))


def measured(network, images):
    """Bytes of all tensors that a pass keeps, parameters aside."""
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.rand(images, 3, 32, 32, requires_grad=True))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_the_estimate_is_what_a_pass_keeps(model):
    network = model.image_head.encoder.network
    each = (measured(network, 6) - measured(network, 2)) / 4
    assert kept_for_backward(network, (1, 3, 32, 32)) == pytest.approx(each, rel=0.2)


def make_runner(model, stage, batch=4, **options):
    model.set_stage(STAGES[stage])
    info = dict(stage=stage)
    return types.SimpleNamespace(
        model=model,
        cfg=dict(stages=[dict(name='match'), dict(name=stage, batch_size=batch)]),
        optim_wrapper=types.SimpleNamespace(**options),
        train_dataloader=types.SimpleNamespace(
            batch_size=batch, dataset=Images([[1, 0, 1], [0, 1, 0]])
        ),
        message_hub=types.SimpleNamespace(get_info=lambda key, default=None: info.get(key)),
    )


def test_advice_of_a_stage(model):
    text = memory_advice(make_runner(model, 'refine', batch=8))
    # 1.5 classes an image, foreground and background
    for words in (
        'with 8 images a step on it of stage refine',
        'of 24 of them, foreground and background of 12 pairs',
        '--amp: about half of it',
        '--cfg-options model.image_head.max_batch=6: ',
        '--cfg-options stages.1.batch_size=4: half of it',
        'tools/dist_train.sh CONFIG 2',
        '--resume',
    ):
        assert words in text, text
    text = memory_advice(make_runner(model, 'prompt', batch=1, loss_scaler=None))
    assert 'keeping nothing' in text
    for words in ('--amp', 'max_batch', 'batch_size'):
        assert words not in text, text
    assert 'CLIP' not in memory_advice(make_runner(model, 'classify'))


def test_advice_of_a_plain_model():
    runner = make_runner(MODELS.build(copy.deepcopy(TINY_SEMPLES)), 'match')
    runner.model, runner.cfg = torch.nn.Linear(1, 1), {}
    runner.message_hub.get_info = lambda key: None
    text = memory_advice(runner)
    assert '--cfg-options train_dataloader.batch_size=2: half of it' in text
    assert 'accumulative_counts=2' in text and 'CLIP' not in text


def test_only_memory_is_explained(model):
    runner = make_runner(model, 'match')
    with pytest.raises(MemoryError, match='stage match'), memory_explained(runner):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory.')
    with pytest.raises(RuntimeError, match='else'), memory_explained(runner):
        raise RuntimeError('else')
