"""Steps that are not finite leave no trace; many in a row end the run; scalers do their work."""

import copy
import types
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmseg.registry import HOOKS
from torch import nn

from semples_mmseg.engine import FiniteStepHook, MixedPrecisionOptimWrapper
from semples_mmseg.engine.finite_step_hook import NotFiniteError

CONFIGS = Path(__file__).parents[2] / 'configs'
NAN, INF = float('nan'), float('inf')


@MODELS.register_module(force=True)
class Line(BaseModel):
    """A normalised line; the loss of a NaN is NaN, one can be infinite with finite gradients."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.line = nn.BatchNorm1d(2), nn.Linear(2, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        losses = self.line(self.norm(torch.stack(inputs).clamp(max=100)))
        if torch.stack(inputs).max() > 100:
            losses = losses + INF  # the gradients do not know of it
        return dict(loss_line=losses.square().mean())


class Points(torch.utils.data.Dataset):
    """Points, some of them given values; two a step."""

    def __init__(self, number, values):
        self.points = torch.randn(number, 2, generator=torch.Generator().manual_seed(1))
        for index, value in values.items():
            self.points[index] = value

    def __len__(self):
        return len(self.points)

    def __getitem__(self, index):
        sample = BaseDataElement(metainfo=dict(img_path=f'{index}.jpg'))
        return dict(inputs=self.points[index], data_samples=sample)


@HOOKS.register_module(force=True)
class States(Hook):
    """What a step has left: weights, statistics, averages, optimizer, rate."""

    priority = 'LOWEST'

    def __init__(self, into):
        self.into = into

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        average = [h.ema_model.state_dict() for h in runner.hooks if hasattr(h, 'ema_model')]
        optimizer = runner.optim_wrapper.state_dict()['state']
        rate = runner.optim_wrapper.param_groups[0]['lr']
        self.into.append(
            (copy.deepcopy((dict(runner.model.state_dict()), optimizer, average)), rate)
        )


@pytest.fixture
def make_runner(tmp_path):
    """Return a function that makes a run of two epochs on points, two a step."""

    def make(values, hooks=(), patience=3, average=True, **wrapper):
        config = dict(
            model=dict(type='Line'),
            work_dir=str(tmp_path),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=Points(8, values),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01), **wrapper),
            param_scheduler=dict(type='LinearLR', start_factor=0.1, end=100, by_epoch=False),
            default_hooks=dict(
                finite_steps=dict(type='FiniteStepHook', patience=patience),
                checkpoint=dict(type='AtomicCheckpointHook', interval=1),
            ),
            custom_hooks=[*hooks, *([dict(type='EMAHook', momentum=0.1)] if average else [])],
            default_scope='mmseg',
            log_level='WARNING',
            experiment_name=tmp_path.name,
        )
        return Runner(**config)

    return make


def states_of(make_runner, values, **options):
    states = []
    runner = make_runner(values, hooks=[dict(type='States', into=states)], **options)
    runner.train()
    return runner, [state for state, _ in states], [rate for _, rate in states]


def flat(state):
    """All numbers of a state."""
    if isinstance(state, torch.Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else state
    return [] if isinstance(state, (int, float)) else [v for part in values for v in flat(part)]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))


@pytest.mark.parametrize('value', [NAN, 1e4], ids=['nan', 'infinite loss, finite gradients'])
def test_a_step_that_is_not_finite_leaves_no_trace(make_runner, capsys, value):
    runner, states, rates = states_of(make_runner, {4: value})
    # Step 2 of the four of an epoch; the statistics of BatchNorm are among the weights.
    changes = [not same(a, b) for a, b in zip(states, states[1:], strict=False)]
    assert changes == [True, False, True, True, True, False, True]
    assert all(tensor.isfinite().all() for state in states for tensor in flat(state))
    # The schedule goes on.
    assert all(a < b for a, b in zip(rates, rates[1:], strict=False))
    assert runner.message_hub.get_info('skipped_steps') == 2
    text = capsys.readouterr().out
    assert 'step 3 is left out: its loss or gradients are not finite; loss ' in text
    assert 'images 4.jpg, 5.jpg. 1 in a row, 1 in all' in text


def test_finite_steps_are_those_of_a_run_without_the_hook(make_runner):
    _, states, _ = states_of(make_runner, {})
    plain = []
    runner = make_runner({}, hooks=[dict(type='States', into=plain)])
    runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, FiniteStepHook)]
    runner.train()
    assert same(states[-1], plain[-1][0])


def test_a_bad_part_spoils_an_accumulated_step(make_runner):
    _, states, _ = states_of(make_runner, {5: NAN}, accumulative_counts=2)
    weights = [state[0]['line.weight'] for state in states]
    changes = [not torch.equal(a, b) for a, b in zip(weights, weights[1:], strict=False)]
    # Steps after parts 1, 3, 5, 7; of these the second and the last are left out.
    assert changes == [True, False, False, False, True, False, False]
    assert all(tensor.isfinite().all() for tensor in flat(states[-1]))


def test_a_streak_ends_the_run_and_keeps_the_checkpoint(make_runner, tmp_path):
    # the last two steps of the first epoch, the first of the second
    runner = make_runner({0: NAN, 4: NAN, 6: NAN})
    with pytest.raises(NotFiniteError) as error:
        runner.train()
    message = str(error.value)
    assert message.startswith('3 training steps in a row had a loss or gradients that are not ')
    for words in ('step 5', 'loss_line nan', '0.jpg, 1.jpg', 'learning rate', 'patience'):
        assert words in message, words
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    assert all(value.isfinite().all() for value in saved.values())


def test_a_good_step_ends_a_streak(make_runner):
    runner = make_runner({0: NAN, 2: NAN}, patience=3)
    runner.train()  # bad, bad, good, good; the same again
    assert runner.message_hub.get_info('skipped_steps') == 4


def test_weights_that_are_not_finite_are_not_saved(make_runner, tmp_path):
    runner = make_runner({}, average=False)
    original = runner.call_hook

    def spoil(name, **kwargs):
        if name == 'after_train_epoch':
            runner.model.line.bias.data.fill_(INF)
        original(name, **kwargs)

    runner.call_hook = spoil
    with pytest.raises(NotFiniteError, match='not saved: line.bias'):
        runner.train()
    assert not list(tmp_path.glob('*.pth'))


class Weight(BaseModel):
    """One weight that starts at zero; the points choose its loss."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='loss'):
        scale = inputs[0][0]
        steep = self.weight.abs().sqrt() if scale == 0 else self.weight * scale
        return dict(loss=steep.sum())


@pytest.fixture
def scaled():
    """Return a function that makes mixed precision steps of one weight: counted or not."""

    def make(**options):
        model = Weight()
        wrapper = MixedPrecisionOptimWrapper(
            'float16', optimizer=torch.optim.SGD(model.parameters(), lr=1.0), **options
        )
        runner = types.SimpleNamespace(model=model, optim_wrapper=wrapper, hooks=[], iter=0)
        runner.message_hub = MessageHub.get_instance(f'scaled{len(options)}')
        runner.logger = MMLogger.get_current_instance()
        hook = FiniteStepHook(patience=1000)
        hook.before_train(runner)

        def step(value):
            before = hook._streak
            hook.before_train_iter(runner, 0)
            loss = model([torch.tensor([value])])['loss']
            wrapper.update_params(loss)
            hook.after_train_iter(runner, 0, outputs=dict(loss=loss))
            assert model.weight.grad is None
            return hook._streak > before

        return model.weight, wrapper.loss_scaler, step

    return make


@pytest.mark.parametrize('clip', [None, dict(max_norm=1.0)])
def test_a_scaler_is_left_to_find_its_scale(scaled, clip):
    weight, scaler, step = scaled(clip_grad=clip)
    assert not step(1e34)  # overflows by 65536
    assert (weight.item(), scaler.get_scale()) == (0, 2.0**15)
    assert not step(1.0)
    assert (weight.item(), scaler.get_scale()) == (pytest.approx(-1, rel=1e-5), 2.0**15)
    assert step(NAN)
    assert weight.item() == pytest.approx(-1, rel=1e-5)


def test_gradients_that_no_scale_helps_are_counted(scaled):
    weight, scaler, step = scaled()
    seen = [step(0.0) for _ in range(20)]  # at 0 the root is infinitely steep
    assert seen == [False] * 16 + [True] * 4
    assert weight.item() == 0


def test_several_optimizers_are_not_watched():
    runner = types.SimpleNamespace(optim_wrapper=OptimWrapperDict())
    with pytest.raises(ValueError, match='default_hooks.finite_steps.patience=None'):
        FiniteStepHook().before_train_iter(runner, 0)
    unwatched = FiniteStepHook(patience=None)
    unwatched.before_train(runner)
    unwatched.before_train_iter(runner, 0)
    unwatched.after_train_iter(runner, 0)


def test_every_config_without_stages_has_it():
    """A run of stages brings it."""
    for path in (CONFIGS / 'segmenter').glob('*.py'):
        hooks = Config.fromfile(path).get('default_hooks', {})
        assert hooks.get('finite_steps', {}).get('type') == 'FiniteStepHook', path
