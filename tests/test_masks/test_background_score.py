"""The background score that CLIP chooses."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from processes import draw_images, make_config
from tiny import TINY_CLIP, TINY_SEMPLES

from semples_mmseg.masks.background_score import choose_background_score, foreground_fit
from semples_mmseg.masks.generate import make_pseudo_masks
from semples_mmseg.models.clip.loading import build_clip
from semples_mmseg.utils.record import Record

SCORES = (0.2, 0.5, 0.8)


def build(config):
    """A model whose prompts are not those that training starts from."""
    model = MODELS.build(copy.deepcopy(config)).eval()
    model.prompt_learner.prompts.data.mul_(3)
    return model


@pytest.fixture
def model():
    return build(TINY_SEMPLES)


def test_fit_is_that_of_each_hard_mask(model):
    pixels = torch.randn(3, *model.image_head.input_size)
    cams, classes = torch.rand(2, *model.image_head.input_size), torch.tensor([2, 0])
    with torch.no_grad():
        fit = foreground_fit(model, pixels, cams, classes, torch.tensor(SCORES))
        prompts = model.text_head.encode_prompts(model.prompt_learner()).double()
        for i, score in enumerate(SCORES):
            for j, kind in enumerate(classes.tolist()):
                mask = ((cams[j] > score) & (cams[j] == cams.max(0).values)).float()
                feature = model.image_head((mask * pixels)[None])[0].double()
                label = model.text_head.class_features[kind].double()
                cosines = [(feature @ u).clamp(1e-4, 0.9999) for u in (label, prompts[kind])]
                expected = cosines[0].log() + (1 - cosines[1]).log()
                assert fit[i, j] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    ('fits', 'score'),
    [
        # means over the three pairs (first, first, second): the best is far ahead of the others
        ([[1.0, 0.0], [2.0, 1.2], [0.5, 0.0]], 0.5),
        # 0.8 is behind by 0.005 in the mean, 0.58 : 0.42; by 0.01, 0.66 : 0.34
        ([[0.0, 0.0], [1.0, 1.0], [1.2, 0.585]], 0.8),
        ([[0.0, 0.0], [1.0, 1.0], [1.2, 0.57]], 0.5),
        # as good as each other
        ([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], 0.5),
    ],
)
def test_choice_is_a_quantile_of_the_weights(model, monkeypatch, fits, score):
    shown, fits = torch.zeros(4, dtype=torch.long), torch.tensor(fits)

    def predict(inputs, data_samples=None, mode='predict'):
        for sample in data_samples:
            count = int(sample.image_labels.sum())
            sample.cams = PixelData(data=torch.rand(count, 5, 6))
            sample.cam_classes = torch.arange(count)
        return data_samples

    def fit(model, pixels, cams, classes, scores):
        shown[len(classes)] += 1
        return fits[:, : len(classes)]

    monkeypatch.setattr(model, 'forward', predict)
    monkeypatch.setattr('semples_mmseg.masks.background_score.foreground_fit', fit)
    batch = dict(inputs=[], data_samples=[])
    for count in (1, 2, 0):
        sample = SegDataSample(metainfo=dict(ori_shape=(5, 6)))
        sample.image_labels = torch.tensor([1.0] * count + [0.0] * (3 - count))
        batch['inputs'].append(torch.zeros(3, 32, 32, dtype=torch.uint8))
        batch['data_samples'].append(sample)
    assert choose_background_score(model, [batch], SCORES) == score
    assert shown.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize('words', [None, ['sea', 'grass', 'wall']])
def test_prompts_that_were_never_trained_are_refused(words):
    config = copy.deepcopy(TINY_SEMPLES)
    config['prompt_learner'] = dict(config.get('prompt_learner', {}), init_words=words)
    model = MODELS.build(config)
    with pytest.raises(ValueError, match='never trained.*--background-score'):
        choose_background_score(model, [])
    model.prompt_learner.prompts.data -= 0.1
    with pytest.raises(ValueError, match='no image has a tag'):
        choose_background_score(model, [])


@pytest.fixture
def config(tmp_path):
    draw_images(tmp_path / 'data', 4, [[1], [1, 2], [2], []])
    config = make_config(tmp_path / 'data', [], work_dir=str(tmp_path / 'work'))
    config.model.clip.pretrained, config.model.stage = str(tmp_path / 'clip.pt'), None
    torch.save(build_clip(TINY_CLIP, None).state_dict(), tmp_path / 'clip.pt')
    torch.save(dict(state_dict=build(config.model).state_dict()), tmp_path / 'weights.pth')
    config.pop('pseudo_mask_evaluator')
    return config


def test_masks_are_made_with_the_chosen_score_and_continued_with_it(config, tmp_path, monkeypatch):
    out, weights = tmp_path / 'masks', str(tmp_path / 'weights.pth')
    make_pseudo_masks(config, weights, str(out))
    score = Record(out)['masks'].settings['background_score']
    assert 0.3 <= score <= 0.8
    made = {path.name: path.read_bytes() for path in out.glob('*.png')}
    assert len(made) == 4

    (tmp_path / 'clip.pt').unlink()  # which only choosing needs
    make_pseudo_masks(config, weights, str(tmp_path / 'again'), background_score=score)
    assert made == {path.name: path.read_bytes() for path in (tmp_path / 'again').glob('*.png')}

    # continued without choosing again
    (out / 'img02.png').unlink()
    monkeypatch.setattr('semples_mmseg.masks.generate.choose_background_score', None)
    make_pseudo_masks(config, weights, str(out), background_score='auto')
    assert made == {path.name: path.read_bytes() for path in out.glob('*.png')}
