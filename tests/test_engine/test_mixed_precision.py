"""Training in mixed precision on a CPU: losses, what is scaled, resuming, refusals."""

import functools
import os
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from processes import draw_images, steps, weights, write_config
from run_tool import run_tool

from semples_mmseg.engine import MixedPrecisionOptimWrapper

STAGES = [
    dict(name='match', epochs=2, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=1e-3))),
    dict(name='prompt', epochs=2, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=2e-2))),
    dict(name='refine', epochs=2, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=1e-3))),
]


@HOOKS.register_module(force=True)
class Precisions(Hook):
    """Keeps the types that the parts of a step compute in."""

    seen = set()

    def before_train(self, runner):
        model = runner.model
        parts = dict(
            head=model.mask_generator.head, features=model.image_head, loss=model.losses.match
        )
        for name, part in parts.items():
            part.register_forward_hook(
                lambda _, __, out, name=name: self.seen.add((name, out.dtype))
            )


@pytest.fixture(scope='module')
def train(tmp_path_factory):
    """Return a function that trains with options of the tool, once each, and gives the folder."""
    data = tmp_path_factory.mktemp('data')
    draw_images(data, 23)

    def run(*options):
        folder = data / '_'.join(('run', *options))
        if folder.exists():
            return folder / 'run'
        saving = dict(checkpoint=dict(type='AtomicCheckpointHook'))
        hooks = [dict(type='Precisions')]
        config = write_config(folder, data, STAGES, hooks, default_hooks=saving)
        Precisions.seen.clear()
        (folder / 'run').mkdir()
        # A scale at which no gradient overflows: the step would be left out, and losses differ.
        scaler = functools.partial(torch.amp.GradScaler, init_scale=16.0)
        environment = mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES='')
        with environment, mock.patch('torch.amp.GradScaler', scaler):
            assert run_tool('train.py', config, '--work-dir', folder / 'run', *options) == 0
        return folder / 'run'

    return run


@pytest.fixture(scope='module')
def exact(train):
    """The run in float32, and what its parts computed in."""
    return train(), set(Precisions.seen)


@pytest.mark.parametrize(
    ('options', 'half'),
    [(['--amp'], torch.bfloat16), (['--amp', 'float16'], torch.float16)],
    ids=['bfloat16', 'float16'],
)
def test_losses_are_those_of_float32(train, exact, options, half):
    run = train(*options)
    seen = set(Precisions.seen)
    assert ('head', half) in seen and ('head', half) not in exact[1]
    assert ('features', half) not in seen and ('loss', half) not in seen
    expected, found = steps(exact[0]), steps(run)
    assert len(found) == len(expected) == 18
    moved = 0
    for step, other in zip(found, expected, strict=True):
        assert step['losses']['loss'] == pytest.approx(other['losses']['loss'], rel=0.02)
        moved += step['losses']['loss'] != other['losses']['loss']
    assert moved > 15  # it was not float32
    for stage in STAGES:
        state = weights(run / f'{stage["name"]}.pth')
        assert {x.dtype for x in state.values() if x.is_floating_point()} == {torch.float32}


def wrapper(**options):
    weight = torch.nn.Parameter(torch.ones(1))
    return MixedPrecisionOptimWrapper(optimizer=torch.optim.SGD([weight], lr=1.0), **options)


def test_only_float16_scales_the_loss():
    assert wrapper().cast_dtype == torch.bfloat16
    assert wrapper().loss_scaler.get_scale() == 1
    assert wrapper(dtype='float16').loss_scaler.get_scale() == 2**16
    for dtype in ('bfloat16', 'float16'):  # the gradient of the step is not scaled
        made = wrapper(dtype=dtype, clip_grad=dict(max_norm=10.0))
        weight = made.optimizer.param_groups[0]['params'][0]
        made.update_params((3 * weight).sum())
        assert weight.item() == -2
        again = wrapper(dtype=dtype)
        again.load_state_dict(made.state_dict())
        assert again.loss_scaler.state_dict() == made.loss_scaler.state_dict()


def test_unknown_precision():
    with pytest.raises(ValueError, match=r'optim_wrapper.dtype must .* bfloat16 or float16, got'):
        wrapper(dtype='float8')


def test_a_gpu_without_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation: False)
    weight = mock.Mock(device=torch.device('cuda'))
    optimizer = mock.Mock(spec=torch.optim.SGD, param_groups=[dict(params=[weight])])
    with mock.patch.object(torch.amp, 'GradScaler') as scaler:
        made = MixedPrecisionOptimWrapper(optimizer=optimizer)
    assert made.cast_dtype == torch.float16 and scaler.call_args.kwargs['enabled']
    with pytest.raises(ValueError, match='train with --amp float16'):
        MixedPrecisionOptimWrapper(optimizer=optimizer, dtype='bfloat16')


def test_the_precision_of_a_run_cannot_change_in_a_stage(train):
    folder = train('--amp')
    with pytest.raises(ValueError, match=r'optim_wrapper\.dtype not set -> float16'):
        run_tool(
            'train.py', folder.parent / 'config.py', '--work-dir', folder, '--resume',
            *('--amp', 'float16'),
        )  # fmt: skip
