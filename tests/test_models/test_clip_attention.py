"""The CLIP-attention generator: against loops and differences, and as part of a model."""

import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny import TINY_CLIP, TINY_GENERATOR

from semples_mmseg.demo.models import CLIP_CONFIG, CLIP_FILE, FOLDER
from semples_mmseg.models.mask_generators.protocol import find_checkpoint
from semples_mmseg.models.stages import STAGES

CLIP = dict(
    model=dict(
        TINY_CLIP, vision_cfg=dict(image_size=32, layers=3, width=32, patch_size=8, head_width=16)
    ),
    pretrained=None,
)
CONFIG = dict(type='CLIPAttentionGenerator', clip=CLIP, background=['grass', 'sky'])


def build(**changes):
    torch.manual_seed(0)
    config = dict(CONFIG, num_classes=3, class_names=['cat', 'dog', 'owl'], last_blocks=2)
    return MODELS.build(config | changes).double().eval()


def flood(high, box_score):
    """Boxes around the parts of a map (h, w) above a score, by a walk over its neighbours."""
    todo = {(y, x) for y, x in np.ndindex(high.shape) if high[y, x] > box_score}
    boxes = np.zeros(high.shape)
    while todo:
        part, edge = [], [todo.pop()]
        while edge:
            y, x = edge.pop()
            part.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & todo
            todo -= near
            edge += near
        (top, left), (bottom, right) = np.min(part, 0), np.max(part, 0)
        boxes[top : bottom + 1, left : right + 1] = 1
    return boxes


def min_max(values):
    return (values - values.min()) / (values.max() - values.min() + 1e-8)


@torch.no_grad()
def by_hand(generator, image, present):
    """CAMs of the present classes of an image of CLIP's own size, and the logits of all."""
    head = generator.image_head
    visual = head.encoder.clip
    tokens = visual._embeds(image[None] * head.scale + head.shift)
    sums = np.zeros((16, 16))
    for number, block in enumerate(visual.transformer.resblocks):
        entering, normed = tokens, block.ln_1(tokens)[0]
        qkv = normed @ block.attn.in_proj_weight.T + block.attn.in_proj_bias
        for start in (0, 16) if number > 0 else ():  # two heads; the last two blocks
            query, key = (qkv[:, at + start : at + start + 16].numpy() for at in (0, 32))
            for q in range(1, 17):
                powers = [math.exp(query[q] @ other / 4) for other in key]
                sums[q - 1] += np.array(powers[1:]) / sum(powers)
        tokens = block(tokens)
    for _ in range(3):
        for q in range(16):
            sums[q] /= sums[q].sum()
        for q in range(16):
            sums[:, q] /= sums[:, q].sum()
    affinity = (sums + sums.T) / 2

    def cosines(some):
        feature = visual.ln_post(visual.transformer.resblocks[-1](some)[:, 0]) @ visual.proj
        return feature / feature.norm(dim=1, keepdim=True) @ generator.words.T / 0.07

    steps = torch.eye(17 * 32, dtype=torch.float64).view(-1, 17, 32) * 1e-5
    shown = [*present, 3, 4]  # with the background words
    higher, lower = (cosines(entering + d)[:, shown].softmax(1) for d in (steps, -steps))
    slopes = ((higher - lower) / 2e-5).view(17, 32, -1)[1:]  # of the patches
    cams = []
    for place in range(len(present)):
        weights = slopes[..., place].mean(0).numpy()
        coarse = min_max(np.maximum(entering[0, 1:].numpy() @ weights, 0))
        boxes = flood(coarse.reshape(4, 4), 0.4)
        cams.append(min_max((affinity @ affinity @ coarse).reshape(4, 4) * boxes))
    own = cosines(entering)[0]
    return torch.tensor(np.array(cams)), own[:3] - own[3:].max()


def test_equals_loops_and_differences():
    generator = build()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    labels = torch.tensor([[1, 0, 1], [0, 1, 0]])
    output = generator(images, labels=labels)
    found = set()
    for image, label, cams, logits in zip(
        images, labels, output.cams, output.logits['coarse'], strict=True
    ):
        present = label.nonzero().flatten().tolist()
        expected, predicted = by_hand(generator, image, present)
        torch.testing.assert_close(cams[present].double(), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(logits, predicted)
        assert not cams[label == 0].any()
        found |= {0 < int((one == 0).sum()) < 16 for one in cams[present]}
    assert True in found  # some boxes are smaller than the image


def test_of_the_demos_resnet_it_is_the_gradient_at_its_last_maps():
    generator = build(
        clip=dict(model=f'{FOLDER / CLIP_CONFIG}', pretrained=f'{FOLDER / CLIP_FILE}')
    )
    visual, maps = generator.image_head.encoder.clip, []
    visual.layer4.register_forward_hook(lambda *args: maps.append(args[2]))
    image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    output = generator(image, labels=torch.tensor([[0, 1, 1]]))
    feature = visual(image * generator.image_head.scale + generator.image_head.shift)
    words = generator.words[1:] * generator.logit_scale
    scores = (feature / feature.norm() @ words.T).softmax(1)[0]
    for place in (0, 1):
        (slopes,) = torch.autograd.grad(scores[place], maps[1], retain_graph=True)
        expected = (maps[1] * slopes.mean((2, 3), keepdim=True)).sum(1)[0].relu()
        expected = min_max(expected.detach())
        torch.testing.assert_close(output.coarse[0, place + 1], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(output.affinity.sum(1), torch.ones(1, 4).double(), atol=0.01, rtol=0)
    assert generator(torch.randn(1, 3, 200, 130).double()).cams.shape == (1, 3, 6, 4)


def test_images_of_other_sizes_and_without_tags():
    generator = build()
    output = generator(torch.randn(1, 3, 49, 17, dtype=torch.float64))
    assert output.cams.shape == output.coarse.shape == (1, 3, 6, 2)
    assert output.cams.amax((2, 3)).min() > 0.99  # all classes


def model(**changes):
    torch.manual_seed(0)
    config = dict(type='CAMSegmentor', mask_generator=CONFIG, class_names=['cat', 'dog|a hound'])
    return MODELS.build(config | changes)


def test_a_segmentor_passes_the_tags_on(make_samples):
    segmentor = model().eval()
    names = [f'a clean origami {name}.' for name in ('cat', 'a hound', 'grass', 'sky')]
    head = MODELS.build(dict(type='CLIPTextHead', clip=segmentor_clip(), class_names=['cat']))
    torch.testing.assert_close(segmentor.mask_generator.words, head.encode_sentences(names))
    images = [[torch.randn(3, 32, 40), torch.randn(3, 32, 40)], [torch.randn(3, 40, 48)] * 2]
    called = []
    segmentor.mask_generator.register_forward_pre_hook(
        lambda _, args, kwargs: called.append(kwargs['labels'].tolist()), with_kwargs=True
    )
    tagged, unknown = segmentor.predict(images, [*make_samples([1, 0]), SegDataSample()])
    assert called == [[[1, 0], [1, 1]] * 2] * 2  # two scales, each with its mirror image
    assert tagged.cam_classes.tolist() == [0] and unknown.tags_guessed
    assert tagged.cams.data.max() > 0.99


def segmentor_clip():
    torch.manual_seed(0)
    return MODELS.build(dict(CLIP, type='OpenCLIP'))


def test_it_is_trained_by_nothing(make_samples):
    segmentor = model()
    segmentor.set_stage(STAGES['classify'])
    with pytest.raises(ValueError, match='is trained by nothing.*make_pseudo_masks.py CONFIG none'):
        segmentor.train().loss(torch.randn(1, 3, 32, 32), make_samples([1, 0]))
    assert find_checkpoint('none', dict(mask_generator=CONFIG)) is None
    for other in (dict(mask_generator=TINY_GENERATOR), dict(decode_head={})):
        with pytest.raises(FileNotFoundError, match='no weights at none'):
            find_checkpoint('none', other)


def test_other_image_encoders_are_refused():
    tower = dict(timm_model_name='test_convnext', timm_model_pretrained=False, image_size=32)
    clip = dict(CLIP, model=dict(TINY_CLIP, vision_cfg=tower))
    with pytest.raises(ValueError, match='TimmModel is no plain'):
        build(clip=clip)
