"""``tools/run_pipeline.py``: options of each pipeline, plans."""

import fcntl

import pytest
from run_tool import run_tool

from semples_mmseg.runs import steps


@pytest.mark.parametrize(
    'arguments',
    [('demo', '--gpus', '2'), ('demo', '--weaktr-options', 'a=1'), ('coco14', '--sbd', 'folder')],
)
def test_options_of_another_pipeline_are_refused(arguments, capsys):
    assert run_tool('run_pipeline.py', *arguments) == 2
    assert arguments[1] in capsys.readouterr().err


def test_the_plan_of_the_demo_runs_nothing(tmp_path, capsys):
    folders = [tmp_path / 'my work', tmp_path / 'my data']
    given = ('--work-dir', folders[0], '--data-root', folders[1], '--dry-run')
    assert run_tool('run_pipeline.py', 'demo', *given) == 0
    text = capsys.readouterr().out
    assert 'SemPLeS training' in text and 'Segmenter training' in text
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_refused(tmp_path):
    """A second pipeline would interleave its checkpoints with those of the first."""
    with open(tmp_path / '.lock', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        given = ('demo', '--work-dir', tmp_path, '--data-root', tmp_path / 'data')
        with pytest.raises(ValueError, match=str(tmp_path)):
            run_tool('run_pipeline.py', *given)
    assert not (tmp_path / 'record.json').exists()


def test_without_crf_neither_masks_nor_predictions_are_refined(tmp_path, monkeypatch):
    for name in ('train', 'val'):
        (tmp_path / 'ImageSets/Segmentation').mkdir(parents=True, exist_ok=True)
        (tmp_path / f'ImageSets/Segmentation/{name}.txt').write_text('a')
    found = []
    monkeypatch.setattr(steps, 'show_plan', lambda recipe, console: found.extend(recipe.steps))
    for given in ([], ['--no-crf']):
        options = ('--data-root', tmp_path, '--dry-run', *given)
        assert run_tool('run_pipeline.py', 'voc12', *options) == 0
    half = len(found) // 2
    assert any('--crf' in step.command() for step in found[:half])
    assert not any('--crf' in step.command() for step in found[half:])
    masks = next(step for step in found[half:] if step.name == 'pseudo masks')
    assert masks.resolved.pseudo_mask_evaluator.refine is None
