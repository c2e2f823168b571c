"""Published WeakTr and SemPLeS checkpoints and prompts: files of their layout, made here."""

import argparse

import numpy as np
import pytest
import torch
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from run_tool import run_tool
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

import semples_mmseg.weights.loading as loading
from semples_mmseg.models.stages import STAGES
from semples_mmseg.weights import COCO_CATEGORY_IDS, convert_file, read_weights

# by category id, with "N/A" for the ids that were never annotated
_COCO = FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories']
COCO_80 = tuple(id_ for id_, name in enumerate(_COCO) if name not in ('__background__', 'N/A'))


@pytest.fixture
def told(monkeypatch):
    """What is logged about weights."""
    lines = []
    monkeypatch.setattr(loading, 'print_log', lambda text, *_: lines.append(text))
    return lines


def build(config, classes=3):
    torch.manual_seed(classes)
    generator = MODELS.build(dict(config, num_classes=classes))
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    generator.eval()
    return generator


def published(generator):
    """Tensors of a generator of ours under WeakTr's names."""
    theirs = {
        'backbone.layers': 'blocks',
        'backbone.': '',
        'projection': 'proj',
        'ln1': 'norm1',
        'ln2': 'norm2',
        'ffn.layers.0.0': 'mlp.fc1',
        'ffn.layers.1': 'mlp.fc2',
        'fusion.': 'adaptive_attention_fusion.',
    }
    state = dict(generator.state_dict())
    for ours, name in theirs.items():
        state = {key.replace(ours, name): value for key, value in state.items()}
    assert {'blocks.1.norm2.bias', 'patch_embed.proj.weight', 'pos_embed'} < state.keys()
    return state | {'norm.weight': torch.ones(24), 'norm.bias': torch.zeros(24)}


def save(state, path):
    """As DeiT's training script saves: the weights under ``model``, its command line beside."""
    torch.save(dict(model=state, epoch=59, args=argparse.Namespace(lr=0.1)), path)
    return path


def pretrained(path, prefix):
    return dict(type='Pretrained', checkpoint=f'weights:{path}', prefix=prefix)


def load(config, path, classes=3):
    """A generator that reads a file by its ``init_cfg``, as configs/_base_/models do."""
    init = pretrained(path, 'mask_generator.')
    generator = MODELS.build(dict(config, num_classes=classes, init_cfg=init))
    generator.init_weights()
    generator.eval()
    return generator


def test_a_weaktr_checkpoint_gives_equal_outputs(tiny_generator, tmp_path, told):
    source = build(tiny_generator)
    path = save(published(source), tmp_path / 'weaktr.pth')
    loaded = load(tiny_generator, path)
    for size in ((64, 64), (48, 80)):
        images = torch.randn(2, 3, *size)
        expected, got = source(images), loaded(images)
        torch.testing.assert_close(got.cams, expected.cams, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(got.affinity, expected.affinity, rtol=1e-5, atol=1e-5)
        for name, logits in expected.logits.items():
            torch.testing.assert_close(got.logits[name], logits, rtol=1e-5, atol=1e-5)
    assert len(told) == 1
    assert told[0] == (
        f'weights {path}: WeakTr or SemPLeS mask generator; 36 of 38 tensors used; '
        'unused: norm.bias, norm.weight; missing: none'
    )


def test_ninety_coco_outputs_become_eighty(tiny_generator, tmp_path, told):
    """Index = category id - 1; the ten that do not exist are cut from all that counts classes."""
    assert COCO_CATEGORY_IDS == COCO_80 and len(COCO_80) == 80
    ninety = published(build(tiny_generator, 90))
    unannotated = [id_ - 1 for id_ in range(1, 91) if id_ not in COCO_80]
    state = dict(ninety)
    for key, axis in {'cls_token': 1, 'pos_embed': 1, 'head.weight': 0, 'head.bias': 0}.items():
        state[key] = torch.from_numpy(np.delete(ninety[key].numpy(), unannotated, axis))
    eighty = load(tiny_generator, save(state, tmp_path / 'eighty.pth'), 80)
    cut = load(tiny_generator, save(ninety, tmp_path / 'ninety.pth'), 80)
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(cut(images).cams, eighty(images).cams, rtol=1e-5, atol=1e-5)
    assert torch.equal(cut.head.weight[-1], ninety['head.weight'][89])  # toothbrush, id 90
    assert cut.backbone.pos_embed.shape[1] == 80 + 16
    assert 'COCO' not in told[0] and '80 annotated of 90 COCO categories taken' in told[1]


def test_published_prompts_start_the_refine_stage(tiny_semples, make_samples, tmp_path, told):
    prompts = torch.rand(3, 4, 24)
    torch.save(dict(prompts=torch.nn.Parameter(prompts)), tmp_path / 'btp.pth')
    source = build(tiny_semples['mask_generator'])
    path = save(published(source), tmp_path / 'weaktr.pth')
    tiny_semples['mask_generator']['init_cfg'] = pretrained(path, 'mask_generator.')
    tiny_semples['prompt_learner']['init_cfg'] = pretrained(tmp_path / 'btp.pth', 'prompt_learner.')
    model = MODELS.build(tiny_semples)
    model.init_weights()
    assert torch.equal(model.prompt_learner.prompts, prompts)
    assert torch.equal(model.mask_generator.head.weight, source.head.weight)
    assert 'btp.pth: SemPLeS prompts; 1 of 1 tensors used' in ''.join(told)

    model.set_stage(STAGES['refine'])
    inputs, samples = torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0])
    got = model.loss(inputs, samples)['loss_refine']
    features = model.text_head.encode_prompts(prompts)
    torch.testing.assert_close(model.prompt_features(torch.tensor([0, 2, 1])), features[[0, 2, 1]])
    assert torch.isfinite(got) and not model.prompt_learner.prompts.requires_grad


def test_ninety_prompts_become_eighty(tmp_path):
    prompts = torch.rand(90, 4, 24)
    torch.save(dict(prompts=prompts), tmp_path / 'btp.pth')
    weights = read_weights(tmp_path / 'btp.pth')
    taken = weights.tensors['prompt_learner.prompts']
    assert torch.equal(taken, prompts[[id_ - 1 for id_ in COCO_80]])


def test_words_and_learned_prompts_exclude_each_other(tiny_semples, tmp_path):
    tiny_semples['prompt_learner'].update(
        init_words=['water', 'grass', 'wall'], init_cfg=pretrained('btp.pth', 'prompt_learner.')
    )
    with pytest.raises(ValueError, match='either init_words or init_cfg'):
        MODELS.build(tiny_semples)


def test_a_whole_model_reads_published_weights_as_load_from(tiny_semples, tmp_path, told):
    source = build(tiny_semples['mask_generator'])
    path = save(published(source), tmp_path / 'semples.pth')
    model = MODELS.build(tiny_semples)
    load_checkpoint(model, f'weights:{path}')
    assert torch.equal(model.mask_generator.head.weight, source.head.weight)
    assert '36 of 38 tensors used; unused: norm.bias, norm.weight' in told[0]
    # Without the prefix nothing is loaded in silence.
    with pytest.raises(ValueError, match='lacks 36 .*its first are model.*weights:'):
        load_checkpoint(MODELS.build(tiny_semples), str(path))


def test_other_classes_widths_and_lengths_are_refused(tiny_generator, tiny_semples, tmp_path):
    path = save(published(build(tiny_generator, 80)), tmp_path / 'coco.pth')
    with pytest.raises(ValueError, match=r'coco.pth .*head.weight is \(80, .*here.*classes'):
        load(tiny_generator, path, 20)
    tiny_generator['backbone']['arch'] = dict(tiny_generator['backbone']['arch'], embed_dims=48)
    with pytest.raises(ValueError, match=r'coco.pth .*there and .*here.*width, patches'):
        load(tiny_generator, path, 80)
    for shape, complaint in (
        ((5, 4, 24), r'prompts is \(5, 4, 24\) there and \(3, 4, 24\) here'),
        ((3, 30, 24), r'prompts is \(3, 30, 24\) there and \(3, 4, 24\) here'),
    ):
        torch.save(dict(prompts=torch.rand(shape)), tmp_path / 'btp.pth')
        tiny_semples['prompt_learner']['init_cfg'] = pretrained(
            tmp_path / 'btp.pth', 'prompt_learner.'
        )
        with pytest.raises(ValueError, match=f'btp.pth .*{complaint}'):
            MODELS.build(tiny_semples).init_weights()


def test_the_tool_converts_and_reports(tiny_semples, tmp_path, capsys):
    source = build(tiny_semples['mask_generator'])
    save(published(source), tmp_path / 'weaktr.pth')
    run_tool('model_converters/convert_weights.py', tmp_path / 'weaktr.pth', tmp_path / 'ours.pth')
    printed = capsys.readouterr().out
    assert 'weaktr.pth: WeakTr or SemPLeS mask generator\nused (36): ' in printed
    assert 'unused (2): norm.bias, norm.weight\n' in printed
    content = torch.load(tmp_path / 'ours.pth', weights_only=True)
    assert set(content) == {'state_dict', 'meta'} and content['meta']['source'] == 'weaktr.pth'
    model = MODELS.build(tiny_semples)
    load_checkpoint(model, str(tmp_path / 'ours.pth'))  # as tools/test.py does
    assert torch.equal(model.mask_generator.head.weight, source.head.weight)


def test_conversion_errors_leave_nothing_behind(tiny_generator, tmp_path):
    path = save(published(build(tiny_generator)), tmp_path / 'weaktr.pth')
    before = path.read_bytes()
    with pytest.raises(ValueError, match="weaktr.pth is not of kind 'prompts' .SemPLeS prompts."):
        convert_file(path, tmp_path / 'ours.pth', 'prompts')
    with pytest.raises(ValueError, match='would overwrite'):
        convert_file(path, path)
    torch.save(build(tiny_generator).state_dict(), tmp_path / 'own.pth')
    with pytest.raises(ValueError, match='own.pth is of no published layout'):
        convert_file(tmp_path / 'own.pth', tmp_path / 'ours.pth')
    assert sorted(file.name for file in tmp_path.iterdir()) == ['own.pth', 'weaktr.pth']
    assert path.read_bytes() == before
