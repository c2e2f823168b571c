"""torch.compile of the parts that are pure functions of tensors."""

import copy

import pytest
import torch
from mmseg.registry import MODELS

from semples_mmseg.models.stages import STAGES

# Pairs of image and class: 2, 3, 5.
BATCHES = [
    [[1, 0, 0], [0, 1, 0]],
    [[1, 1, 0], [0, 1, 0]],
    [[1, 1, 1], [0, 1, 1]],
]
BUCKET = 4


@pytest.fixture
def compiled():
    """Shapes that were compiled for, and the options that count them."""
    found = []

    def count(module, inputs):
        found.append([tuple(x.shape) for x in inputs if isinstance(x, torch.Tensor)])
        return module.forward

    yield found, dict(backend=count, fullgraph=True)
    torch.compiler.reset()


def build(config, **changes):
    torch.manual_seed(0)
    return MODELS.build(copy.deepcopy(config) | changes)


def epoch(model, stage, make_samples, batches=BATCHES):
    """Losses and gradients of every batch, in train mode."""
    model.set_stage(STAGES[stage])
    model.train()
    torch.manual_seed(1)
    results = []
    for rows in batches:
        model.zero_grad()
        losses = model.loss(torch.randn(2, 3, 64, 64), make_samples(*rows))
        sum(losses.values()).backward()
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        results.append((losses, gradients))
    return results


@pytest.mark.parametrize('stage', ['classify', 'prompt', 'refine'])
def test_results_are_equal_and_compilations_few(tiny_semples, make_samples, compiled, stage):
    found, options = compiled
    plain = build(tiny_semples)
    ours = build(tiny_semples, image_head=dict(bucket=BUCKET), compile_options=options)
    wanted, got = (epoch(model, stage, make_samples) for model in (plain, ours))
    for (losses, gradients), (expected, others) in zip(got, wanted, strict=True):
        torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
        assert gradients.keys() == others.keys() and len(gradients) > 0
        torch.testing.assert_close(gradients, others, rtol=1e-5, atol=1e-6)
    images = [sum(map(sum, rows)) * (1 if stage == 'prompt' else 2) for rows in BATCHES]
    buckets = {-(-number // BUCKET) for number in images} if stage != 'classify' else set()
    assert 1 <= len(found) <= len(buckets) + 2, found
    # a second epoch compiles nothing, another stage anew
    before = len(found)
    for rows in BATCHES:
        ours.loss(torch.randn(2, 3, 64, 64), make_samples(*rows))
    assert len(found) == before
    ours.set_stage(STAGES['joint'])
    ours.loss(torch.randn(2, 3, 64, 64), make_samples(*BATCHES[0]))
    assert len(found) > before


def test_prediction_is_not_compiled(tiny_semples, make_samples, compiled):
    found, options = compiled
    model = build(tiny_semples, compile_options=options).eval()
    model.predict([[torch.randn(3, 64, 50)]], make_samples([1, 0, 0]))
    assert not found


def test_the_compiler_of_pytorch_gives_the_same(tiny_semples, make_samples):
    """With real graphs of forward and backward; without generating code, which takes a minute."""
    plain = build(tiny_semples)
    ours = build(tiny_semples, compile_options=dict(backend='aot_eager'))
    wanted, got = (epoch(m, 'refine', make_samples, BATCHES[:1]) for m in (plain, ours))
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)
    torch.compiler.reset()


def test_bad_options(tiny_semples):
    with pytest.raises(ValueError, match='bucket must be at least 1, got 0'):
        build(tiny_semples, image_head=dict(bucket=0))
    with pytest.raises(Exception, match='Invalid backend'):
        build(tiny_semples, compile_options=dict(backend='nonsense'))
