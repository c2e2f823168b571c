"""The segmentor: losses of every stage, what trains in which, predictions, refusals."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from semples_mmseg.models.stages import STAGES, resolve_stage
from semples_mmseg.utils.errors import RunError

LABELS = ([1, 0, 1], [0, 1, 0], [0, 0, 0])


def build(config, stage='match'):
    torch.manual_seed(1)
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    # CAMs of random weights are tiny; a larger head gives masks worth the name.
    model.mask_generator.head.weight.data *= 50
    model.set_stage(STAGES[stage])
    return model


def reference_losses(model, inputs, samples, eps):
    """Equations 1 to 3 pair by pair, with foreground and background encoded one at a time."""
    clamp = lambda value: value.clamp(1e-4, 0.9999)  # noqa: E731
    totals = dict(match=[], prompt=[], refine=[])
    for image, sample in zip(inputs, samples, strict=True):
        cams = model.mask_generator(image[None]).cams[0]
        prepared = model.image_head.prepare(image[None])
        for k in sample.image_labels.nonzero().flatten().tolist():
            large = F.interpolate(
                cams[None, k : k + 1], (32, 32), mode='bilinear', align_corners=True
            )
            mask = (large - large.min()) / (large.max() - large.min() + eps)
            v_f = model.image_head(mask * prepared)[0]
            v_b = model.image_head((1 - mask) * prepared)[0]
            u_f = model.text_head.encode_sentences(
                [f'a photo of {model.text_head.class_names[k]}.']
            )[0]
            u_b = model.text_head.encode_prompts(model.prompt_learner.prompts[k : k + 1])[0]
            totals['match'].append(-clamp(v_f @ u_f).log() - 2.4 * (1 - clamp(v_b @ u_f)).log())
            totals['prompt'].append(-clamp(u_b @ v_b).log() + 0.02 * clamp(u_b @ u_f).log())
            totals['refine'].append(-0.05 * (1 - clamp(v_f @ u_b)).log())
    return {f'loss_{key}': torch.stack(values).mean() for key, values in totals.items()}


@pytest.mark.parametrize(
    ('stage', 'names'),
    [
        ('match', {'loss_match'}),
        ('prompt', {'loss_prompt'}),
        ('refine', {'loss_match', 'loss_refine'}),
        ('joint', {'loss_match', 'loss_prompt', 'loss_refine'}),
    ],
)
def test_losses_and_gradients_equal_the_pairwise_formulas(tiny_semples, make_samples, stage, names):
    model = build(tiny_semples, stage)
    model.train()
    inputs, samples = torch.randn(3, 3, 64, 64), make_samples(*LABELS)
    losses = model.loss(inputs, samples)
    expected = reference_losses(model, inputs, samples, STAGES[stage].mask_eps)
    assert set(losses) == names
    for name in names:
        torch.testing.assert_close(losses[name], expected[name], rtol=1e-4, atol=1e-5)
    trainable = [p for p in model.parameters() if p.requires_grad]
    got = torch.autograd.grad(sum(losses.values()), trainable)
    want = torch.autograd.grad(sum(expected[name] for name in names), trainable)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_the_generator_is_in_eval_mode_while_prompts_train(tiny_semples):
    model = build(tiny_semples, 'prompt')
    model.train()
    assert not model.mask_generator.training and model.prompt_learner.training
    model.set_stage(STAGES['match'])
    model.train()
    assert model.mask_generator.training and model.mask_generator.backbone.training
    model.set_stage(resolve_stage('match', features_eval=True))
    assert model.mask_generator.training and not model.mask_generator.backbone.training


def test_fixed_prompts_are_encoded_once_a_stage(tiny_semples, make_samples, monkeypatch):
    model = build(tiny_semples, 'refine')
    calls = []
    encode = model.text_head.encode_prompts
    monkeypatch.setattr(
        model.text_head, 'encode_prompts', lambda p: calls.append(len(p)) or encode(p)
    )
    for _ in range(3):
        model.loss(torch.randn(1, 3, 64, 64), make_samples([1, 0, 0]))
    assert calls == [3]
    model.set_stage(STAGES['prompt'])
    model.loss(torch.randn(1, 3, 64, 64), make_samples([0, 1, 1]))
    assert calls == [3, 2]  # the classes at hand


@pytest.mark.parametrize('stage', ['match', 'prompt', 'refine', 'joint'])
def test_images_without_pairs_add_nothing(tiny_semples, make_samples, stage):
    model = build(tiny_semples, stage)
    images = torch.randn(2, 3, 64, 64)
    one = model.loss(images, make_samples([0, 0, 0], [0, 1, 0]))
    alone = model.loss(images[1:], make_samples([0, 1, 0]))
    for name, value in one.items():
        torch.testing.assert_close(value, alone[name], rtol=1e-4, atol=1e-5)


def reference_cams(model, scales, present, size):
    """Method, section 3: scale by scale, image and mirror image apart, at full size."""
    total = 0
    for image in scales:
        for flip in (False, True):
            batch = (image.flip(-1) if flip else image)[None]
            cams = F.interpolate(
                model.mask_generator(batch).cams, size, mode='bilinear', align_corners=False
            )[0]
            total = total + (cams.flip(-1) if flip else cams)
    total = total[present]
    low, high = total.amin((1, 2), keepdim=True), total.amax((1, 2), keepdim=True)
    return (total - low) / (high - low + 1e-8)


def test_predict_equals_the_one_by_one_computation(tiny_semples, make_samples):
    model = build(tiny_semples)
    model.eval()
    sizes, labels = [(50, 67), (64, 64), (50, 67)], ([1, 0, 1], [0, 1, 0], [0, 0, 0])
    scales = [[torch.randn(3, round(h * s), round(w * s)) for h, w in sizes] for s in (1.0, 1.2)]
    samples = [make_samples(label, size=size)[0] for label, size in zip(labels, sizes, strict=True)]
    results = model.predict(scales, samples)
    for index, (label, size) in enumerate(zip(labels, sizes, strict=True)):
        present = torch.tensor(label).bool()
        sample = results[index]
        assert sample.cam_classes.tolist() == present.nonzero().flatten().tolist()
        assert sample.cams.data.shape == (int(present.sum()), *size)
        assert sample.pred_sem_seg.data.shape == (1, *size)
        if present.any():
            with torch.no_grad():
                expected = reference_cams(model, [s[index] for s in scales], present, size)
            torch.testing.assert_close(sample.cams.data, expected, rtol=1e-4, atol=1e-4)
        else:
            assert (sample.pred_sem_seg.data == 0).all()


def test_a_photo_whose_cams_are_not_numbers_is_named(tiny_semples, make_samples):
    model, samples = build(tiny_semples).eval(), make_samples([1, 0, 1], [0, 1, 0])
    samples[1].set_metainfo(dict(img_path='b/second.jpg'))
    images = torch.randn(2, 3, 64, 64)
    images[1, 0, 5, 5] = torch.nan
    with pytest.raises(RunError, match='b/second.jpg: what the model predicts is not a number'):
        model.predict(images, samples)


def test_only_the_cams_of_named_images_are_kept(tiny_semples, make_samples, monkeypatch):
    """Pseudo masks of any number of images take no more memory than those of the chosen ones."""
    model, sizes = build(tiny_semples).eval(), []
    forward = model.mask_generator.forward
    monkeypatch.setattr(
        model.mask_generator, 'forward', lambda x, **of: sizes.append(len(x)) or forward(x, **of)
    )
    model.kept, images = dict.fromkeys('ac'), torch.randn(3, 3, 64, 64)
    found = []
    for _ in range(2):
        samples = make_samples(*LABELS)
        for name, sample in zip('abc', samples, strict=True):
            sample.set_metainfo(dict(img_id=name))
        found.append([sample.cams.data for sample in model.predict(images, samples)])
    assert sizes == [6, 2] and model.kept.keys() == {*'ac'} and all(model.kept.values())
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_forward_modes(tiny_semples, make_samples):
    model = build(tiny_semples)
    data = dict(
        inputs=[torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(2)],
        data_samples=make_samples([1, 0, 0], [0, 1, 0]),
    )
    batch = model.data_preprocessor(data, training=True)
    assert batch['inputs'].shape == (2, 3, 64, 64)
    assert set(model(**batch, mode='loss')) == {'loss_match'}
    assert model(batch['inputs'], mode='tensor').shape == (2, 3, 4, 4)
    assert model.val_step(data)[1].cam_classes.tolist() == [1]
    unlabelled = model.predict(batch['inputs'])  # classes are predicted where no labels are known
    assert len(unlabelled) == 2 and unlabelled[0].pred_sem_seg.data.shape == (1, 64, 64)


def test_checkpoints_hold_no_clip_and_unfit_ones_are_refused(tiny_semples):
    state = build(tiny_semples).state_dict()
    assert not any('head.encoder' in key for key in state)
    build(tiny_semples).load_state_dict(state, strict=True)
    longer = copy.deepcopy(tiny_semples)
    longer['prompt_learner']['num_tokens'] = 5
    with pytest.raises(ValueError, match=r'prompts is \(3, 4, 24\) there'):
        build(longer).load_state_dict(state, strict=False)
    state['clip_fingerprint'] = -state['clip_fingerprint']
    with pytest.raises(ValueError, match='another CLIP or other class names'):
        build(tiny_semples).load_state_dict(state, strict=False)


def test_parts_that_disagree_are_refused(tiny_semples):
    fewer = copy.deepcopy(tiny_semples)
    fewer['class_names'].pop()
    with pytest.raises(ValueError, match='num_classes is 3, but model.class_names has 2'):
        MODELS.build(fewer)
    long = copy.deepcopy(tiny_semples)
    long['prompt_learner']['num_tokens'] = 72
    with pytest.raises(ValueError, match='num_tokens is 72, this CLIP has room for 71'):
        MODELS.build(long)


def test_class_names_are_named_once(tiny_semples):
    del tiny_semples['mask_generator']['num_classes']
    model = MODELS.build(copy.deepcopy(tiny_semples))
    assert model.num_classes == len(model.prompt_learner.prompts) == 3
    assert model.class_names == ('cat', 'dog', 'tvmonitor')
    assert model.text_head.class_names == ('cat', 'dog', 'tv monitor')
    assert model.dataset_meta['classes'] == ('background', 'cat', 'dog', 'tvmonitor')
    assert model.dataset_meta['palette'][:2] == [[0, 0, 0], [128, 0, 0]]
    for wrong, message in (
        ([], 'expected class names'),
        (['background', 'cat'], 'background is not an object class'),
        ('CityscapesDataset', 'do not begin with background'),
    ):
        with pytest.raises(ValueError, match=message):
            MODELS.build(copy.deepcopy(tiny_semples) | dict(class_names=wrong))


def test_images_without_normalisation(tiny_semples):
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    normal = build(tiny_semples)
    plain = build(
        tiny_semples | dict(data_preprocessor=dict(type='CAMDataPreprocessor', mean=None))
    )
    inputs = plain.data_preprocessor(dict(inputs=[pixels[0]]))['inputs']
    torch.testing.assert_close(inputs, pixels.flip(1).float())
    ((scale,), _) = plain.data_preprocessor(dict(inputs=[[pixels[0]], [pixels[0]]]))['inputs']
    assert torch.equal(scale, inputs[0])
    expected = normal.data_preprocessor(dict(inputs=[pixels[0]]))['inputs']
    torch.testing.assert_close(
        plain.image_head.prepare(inputs), normal.image_head.prepare(expected), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (7, 7), (300, 5), (15, 400)])
def test_pictures_smaller_than_a_patch_are_predicted(tiny_semples, make_samples, size):
    model = build(tiny_semples).eval()
    image = torch.randn(3, *size)
    (result,) = model.predict([[image], [image]], make_samples([1, 0, 1], size=size))
    assert result.pred_sem_seg.data.shape == (1, *size)
    assert result.cams.data.shape == (2, *size) and result.cams.data.isfinite().all()


def test_stages_that_do_not_exist_or_fit(tiny_semples):
    with pytest.raises(ValueError, match="unknown stage 'refin'"):
        resolve_stage('refin')
    with pytest.raises(ValueError, match="stage 'match': mask_eps must be positive, got 0"):
        resolve_stage('match', mask_eps=0)
    own = resolve_stage('mine', losses=['match'], trains=['mask_generator.head'], mask_eps=0.5)
    model = build(tiny_semples)
    for losses, names in ((['matching'], 'matching'), (['classification', 'match'], 'match')):
        with pytest.raises(ValueError, match=names):
            model.set_stage(resolve_stage('match', losses=losses))
    model.set_stage(own)
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        'mask_generator.head.weight',
        'mask_generator.head.bias',
    }
    with pytest.raises(ValueError, match='mask_generator.hed'):
        model.set_stage(resolve_stage('match', trains=['mask_generator.hed']))
    plain = dict(type='CAMSegmentor', mask_generator=tiny_semples['mask_generator'])
    with pytest.raises(ValueError, match='CAMSegmentor has classification, alone'):
        MODELS.build(plain).set_stage(STAGES['match'])


def test_stage_0_losses_are_soft_margins(tiny_semples, make_samples):
    model = MODELS.build(dict(type='CAMSegmentor', mask_generator=tiny_semples['mask_generator']))
    model.init_weights()
    inputs, samples = torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0])
    losses = model.loss(inputs, samples)
    labels = torch.tensor([[1, 0, 1], [0, 1, 0]]).double()
    for name, logits in model.mask_generator(inputs).logits.items():
        p = logits.double().sigmoid()
        expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
        torch.testing.assert_close(losses[f'loss_{name}'].double(), expected, rtol=1e-5, atol=1e-6)
