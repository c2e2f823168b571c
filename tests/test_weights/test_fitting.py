"""Weights that would leave a part of a model random are refused, whoever loads them."""

import copy

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from tiny import TINY_SEMPLES
from tiny_segmenter import SMALL_WINDOWS, TINY_ENCODER, load


def semples(classes=3):
    config = copy.deepcopy(TINY_SEMPLES)
    config['mask_generator']['num_classes'] = classes
    config['class_names'] = [f'thing {n}' for n in range(classes)]
    torch.manual_seed(0)  # of its CLIP, which a checkpoint must fit
    return MODELS.build(config)


def segmenter(classes=4):
    config = load('segmenter_deit-s_voc12.py', TINY_ENCODER, SMALL_WINDOWS)
    config.model.decode_head.num_classes = classes
    return MODELS.build(config.model)


MODELS_OF = dict(semples=semples, segmenter=segmenter)


def only(state, start):
    return {key: value for key, value in state.items() if key.startswith(start)}


@pytest.mark.parametrize('prefix', ['', 'weights:'])
@pytest.mark.parametrize(
    ('model', 'make', 'message'),
    [
        ('segmenter', lambda: semples().state_dict(), 'backbone and decode_head it lacks'),
        ('segmenter', lambda: segmenter(3).state_dict(), r'cls_emb is \(1, 3, .*and \(1, 4, '),
        ('segmenter', lambda: only(segmenter().state_dict(), 'backbone.'), 'lacks .*decode_head'),
        ('semples', lambda: segmenter().state_dict(), 'mask_generator it lacks'),
        ('semples', lambda: semples(2).state_dict(), r'head.weight is \(2, .*and \(3, '),
        ('semples', lambda: only(semples().state_dict(), 'prompt_learner.'), 'it lacks'),
        (
            'semples',
            lambda: semples().state_dict() | {'mask_generator.backbone.layers.2.x': torch.ones(1)},
            'it has unknown 1 .mask_generator.backbone.layers.2.x',
        ),
    ],
)
def test_weights_of_another_model(tmp_path, model, make, message, prefix):
    torch.save(dict(state_dict=make()), tmp_path / 'x.pth')
    file = 'x.pth ' if prefix else ''
    with pytest.raises(ValueError, match=f'{file}does not fit .*{message}'):
        load_checkpoint(MODELS_OF[model](), f'{prefix}{tmp_path}/x.pth')


@pytest.mark.parametrize('model', MODELS_OF)
def test_weights_of_the_model(tmp_path, model):
    source, target = MODELS_OF[model](), MODELS_OF[model]()
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(source.state_dict(), tmp_path / 'x.pth')
    load_checkpoint(target, str(tmp_path / 'x.pth'))
    torch.testing.assert_close(target.state_dict(), source.state_dict())


def test_a_generator_without_prompts_is_enough(tmp_path):
    """As stage 0 and published files have it."""
    torch.save(only(semples().state_dict(), 'mask_generator.'), tmp_path / 'x.pth')
    load_checkpoint(semples(), str(tmp_path / 'x.pth'))
