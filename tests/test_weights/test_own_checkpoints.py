"""Checkpoints that runs of this package write, under the rule that no file runs code."""

import pytest
import torch
from run_tool import run_tool


@pytest.fixture
def run(make_config, tmp_path):
    """The config of a run of two epochs that was made, and its folder."""
    config = make_config(
        **{
            'stages.0.epochs': 2,
            'default_hooks.checkpoint': dict(type='AtomicCheckpointHook', interval=1),
            'custom_hooks': [dict(type='StageSwitchHook'), dict(type='EpochSeedHook')],
            'randomness.seed': 0,
        }
    )
    assert run_tool('train.py', config) in (0, None)
    return config, tmp_path / 'run'


def test_a_run_resumes_from_plain_data(run):
    """PyTorch's default rule is enough, as MMSeg's publish_model.py has it."""
    config, folder = run
    want = torch.load(folder / 'epoch_2.pth', weights_only=True)
    (folder / 'epoch_2.pth').unlink()
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    run_tool('train.py', config, '--resume')
    got = torch.load(folder / 'epoch_2.pth', weights_only=True)
    for key in ('state_dict', 'optimizer'):
        torch.testing.assert_close(got[key], want[key], rtol=0, atol=0)


def test_weights_alone_are_not_resumed(run):
    config, folder = run
    state = torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']
    torch.save(dict(model=state, optimizer={}, epoch=3), folder / 'epoch_2.pth')
    with pytest.raises(ValueError, match='cannot be resumed'):
        run_tool('train.py', config, '--resume')
