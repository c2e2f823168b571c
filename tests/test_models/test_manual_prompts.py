"""Background prompts written by hand in the place of learned ones."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from tiny import TINY_SEMPLES

from semples_mmseg.figures.prompt_figure import CLIMS_BACKGROUNDS
from semples_mmseg.models.stages import STAGES

ROOT = Path(__file__).parents[2]
PER_CLASS = dict(cat=['sofa'], dog=['grass', 'park'], tvmonitor=['desk'])


def build(texts, **options):
    learner = dict(type='ManualPrompts', texts=texts, **options)
    model = MODELS.build(dict(TINY_SEMPLES, prompt_learner=learner))
    model.init_weights()
    model.mask_generator.head.weight.data *= 50
    return model


def test_a_feature_is_the_mean_of_the_sentences_of_its_class():
    model = build(PER_CLASS, template='a photo of {}.')
    grass, park = model.text_head.encode_sentences(['a photo of grass.', 'a photo of park.'])
    model.set_stage(STAGES['refine'])
    features = model.prompt_features(torch.tensor([1, 1, 0]))
    torch.testing.assert_close(features[0], F.normalize((grass + park) / 2, dim=0))
    torch.testing.assert_close(features[1], features[0])
    (sofa,) = model.text_head.encode_sentences(['a photo of sofa.'])
    torch.testing.assert_close(features[2], sofa)
    everywhere = build(['sky', 'sea']).prompt_features(torch.arange(3))
    assert everywhere.shape == (3, 16) and everywhere[0].equal(everywhere[2])


def test_refinement_pushes_away_from_them_and_learns_masks_alone(make_samples):
    model = build(PER_CLASS)
    model.set_stage(STAGES['refine'])
    with torch.no_grad():  # backgrounds like the images: no cosine is clamped
        likely = F.normalize(model.image_head(torch.randn(2, 3, 32, 32)).mean(0), dim=0)
        model.prompt_learner.encoded.copy_(likely.expand(3, -1))
    images, samples = torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0])
    losses = model.train().loss(images, samples)
    assert losses['loss_refine'] > 0
    sum(losses.values()).backward()
    assert model.mask_generator.head.weight.grad.abs().sum() > 0
    assert not [key for key in model.state_dict() if key.startswith('prompt_learner')]
    for stage in ('prompt', 'joint'):
        with pytest.raises(ValueError, match="trains .*'prompts'.*roles"):
            model.set_stage(STAGES[stage])


@pytest.mark.parametrize(
    ('texts', 'options', 'message'),
    [
        ([], {}, 'none is empty'),
        ('sky', {}, 'prompt_learner.texts are texts'),
        (['sky', ' '], {}, 'none is empty'),
        (dict(PER_CLASS, dog=[]), {}, 'none is empty'),
        (dict(cat=['sofa'], cow=['grass']), {}, r"or unknown: \['cow', 'dog', 'tvmonitor'\]"),
        (['sky'], dict(template='a photo'), 'needs {} for the text'),
        (['very ' * 90], {}, 'longer than the 77 tokens'),
    ],
)
def test_bad_texts(texts, options, message):
    with pytest.raises(ValueError, match=message):
        build(texts, **options)


def test_baselines_are_what_they_say():
    configs = {
        path.stem: Config.fromfile(path)
        for path in (ROOT / 'configs/semples/baselines').glob('*.py')
    }
    full = Config.fromfile(ROOT / 'configs/semples/voc_refine.py')
    manual = configs['voc_manual_prompts']
    assert tuple(manual.model.prompt_learner.texts) == CLIMS_BACKGROUNDS
    assert manual.model.prompt_learner.template == 'a photo of {}.'
    assert manual.model.mask_generator == full.model.mask_generator
    assert [stage.name for stage in manual.stages] == ['refine']
    assert [stage.name for stage in configs['voc_match_only'].stages] == ['match']
    assert configs['voc_no_clip'].model.type == 'CAMSegmentor'
    assert [stage.name for stage in configs['voc_no_clip'].stages] == ['classify']
