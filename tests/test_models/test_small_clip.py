"""Small CLIPs: a part of the token table, and an image trunk from another file."""

import open_clip
import pytest
import timm
import torch
from mmseg.registry import MODELS

from semples_mmseg.models.clip.image_head import CLIPImageHead
from semples_mmseg.models.clip.loading import build_clip, save_small_clip, untrained_clip
from semples_mmseg.models.clip.text_head import CLIPTextHead
from semples_mmseg.utils.files import read_json
from semples_mmseg.weights import resolve

ROWS = [0, 13, 269, 49406, 49407]
CONFIG = dict(
    embed_dim=8,
    vision_cfg=dict(timm_model_name='tf_efficientnet_lite0', timm_proj_bias=True, image_size=32),
    text_cfg=dict(context_length=9, vocab_size=len(ROWS), width=8, heads=2, layers=1),
)


@pytest.fixture(scope='module')
def trunk(tmp_path_factory):
    """A file like that of the package, and the classifier that it is of."""
    torch.manual_seed(0)
    model = timm.create_model('tf_efficientnet_lite0').eval()
    path = tmp_path_factory.mktemp('trunk') / 'lite0.pth'
    state = model.state_dict().values()
    torch.save({f'_blocks.{index}': value for index, value in enumerate(state)}, path)
    return str(path), model


def test_a_small_clip_comes_back_with_its_trunk_and_zeros_for_other_tokens(trunk, tmp_path):
    file, classifier = trunk
    clip = untrained_clip(CONFIG)
    state = {k: v for k, v in clip.state_dict().items() if not k.startswith('visual.trunk')}
    save_small_clip(state, ROWS, 49408, tmp_path / 'small.safetensors')
    whole = dict(CONFIG['text_cfg'], vocab_size=49408)
    config = dict(CONFIG, text_cfg=whole, trunk_weights=file)
    found = build_clip(config, str(tmp_path / 'small.safetensors'))
    tokens = open_clip.SimpleTokenizer(context_length=9)('.')
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        clip.visual.trunk = found.visual.trunk
        expected = (
            clip.encode_image(images),
            clip.encode_text(torch.searchsorted(torch.tensor(ROWS), tokens)),
        )
        torch.testing.assert_close(
            (found.encode_image(images), found.encode_text(tokens)), expected, atol=0.02, rtol=0.02
        )
        features = classifier.forward_head(classifier.forward_features(images), pre_logits=True)
        torch.testing.assert_close(found.visual.trunk(images), features)
        head = CLIPImageHead(found, input_size=48)
        assert head(head.prepare(images)).shape == (2, 8) and head.input_size == (48, 48)
    table = found.token_embedding.weight.detach()
    assert table[ROWS].any(1).all() and table.any(1).sum() == len(ROWS)
    with pytest.raises(ValueError, match=r'missing: .*visual\.trunk'):
        build_clip(dict(CONFIG, text_cfg=whole), str(tmp_path / 'small.safetensors'))


def test_mmsegs_backbone_takes_the_trunk_and_other_efficientnets_are_refused(trunk, tmp_path):
    config = dict(type='TIMMBackbone', model_name='tf_efficientnet_lite0', pretrained=False)
    start = dict(type='Pretrained', checkpoint=f'weights:{trunk[0]}')
    backbone = MODELS.build(dict(config, init_cfg=start))
    backbone.init_weights()
    for name, value in backbone.timm_model.state_dict().items():
        assert torch.equal(value, trunk[1].state_dict()[name])
    torch.save({'_blocks.0': torch.zeros(3)}, tmp_path / 'b0.pth')
    backbone = MODELS.build(
        dict(config, init_cfg=dict(start, checkpoint=f'weights:{tmp_path}/b0.pth'))
    )
    with pytest.raises(ValueError, match='b0.pth is of another EfficientNet'):
        backbone.init_weights()


def test_the_shipped_one_is_small_and_knows_its_words(trunk):
    """Its text side: the image trunk is in another package."""
    folder = resolve('semples_mmseg::models/small_clip/small_clip.json').parent
    assert (folder / 'small_clip.safetensors').stat().st_size < 8e6
    groups = read_json(folder / 'vocabulary.json')
    assert {'cow', 'sofa', 'grass', 'water'} <= {*groups['everyday']}
    assert not any(word != word.lower() for some in groups.values() for word in some)
    config = dict(read_json(folder / 'small_clip.json'), trunk_weights=trunk[0])
    clip = build_clip(config, str(folder / 'small_clip.safetensors'))
    head = CLIPTextHead(['cow', 'ox', 'sheep', 'sofa', 'studio couch'], clip, 'a photo of {}.')
    assert head.max_prompt_tokens >= 30
    cosines = head.class_features @ head.class_features.T
    assert cosines[0, 1] > 0.95 and cosines[3, 4] > 0.95  # the same classes of ImageNet
    assert cosines[0, 3] < 0.4 < 0.9 < head.class_features[0] @ head.encode_sentences(['cow'])[0]
    text = (folder / 'WORDNET_LICENSE').read_text()
    assert 'Princeton University' in text and 'Permission to use, copy, modify' in text
