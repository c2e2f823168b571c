"""CLIP weights from files: OpenAI's archive read as data, state dicts, open_clip's, refusals."""

import io
import json
import pickle
import re
import zipfile

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from semples_mmseg.models import build_clip
from semples_mmseg.models.clip import loading
from semples_mmseg.weights.torchscript import read_archive

# Of a size that open_clip's own reader of OpenAI's files understands: heads of 64 channels.
CONFIG = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, layers=1, width=64, patch_size=16, head_width=64),
    text_cfg=dict(context_length=77, vocab_size=49408, width=64, heads=1, layers=1),
)
SCALARS = dict(input_resolution=32, context_length=77, vocab_size=49408)
# Tracing is how such files are made; PyTorch would rather export.
pytestmark = pytest.mark.filterwarnings('ignore::FutureWarning', 'ignore::torch.jit.TracerWarning')
TOKENS = open_clip.SimpleTokenizer()(['a photo of a cat.', 'sky'])


def make_clip(**options):
    """A CLIP model with random weights that halves hold exactly."""
    torch.manual_seed(0)
    clip = open_clip.CLIP(**CONFIG, **options).eval()
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
        parameter.data = parameter.data.half().float()
    return clip


def save_openai_archive(clip, path, mask=True):
    """A traced model in half precision with three scalars, as OpenAI publishes.

    ``mask``: whether the causal mask is a buffer, hence in the archive, as in open_clip's class,
    or a plain attribute as in OpenAI's.
    """
    for name, value in SCALARS.items():
        vars(clip).pop(name, None)
        clip.register_buffer(name, torch.tensor(value))
    if not mask:
        clip.attn_mask = clip._buffers.pop('attn_mask')
    images = torch.zeros(1, 3, 32, 32)
    traced = torch.jit.trace_module(
        clip, dict(encode_image=images, encode_text=TOKENS), check_trace=False
    )
    torch.jit.save(traced.half(), path)


def save_openai_state_dict(clip, path):
    state = {key: value.half() for key, value in clip.state_dict().items()}
    torch.save(state | {key: torch.tensor(value) for key, value in SCALARS.items()}, path)


def save_open_clip(clip, path):
    torch.save(
        dict(epoch=3, state_dict={f'module.{k}': v for k, v in clip.state_dict().items()}), path
    )


def save_safetensors(clip, path):
    save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, path)


def assert_equal_outputs(got, expected):
    images = torch.randn(2, 3, 32, 32)
    for a, b in (
        (got.encode_image(images), expected.encode_image(images)),
        (got.encode_text(TOKENS), expected.encode_text(TOKENS)),
    ):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope='module')
def archive(tmp_path_factory):
    """An archive of OpenAI's kind."""
    path = tmp_path_factory.mktemp('openai') / 'ViT-B-32.pt'
    save_openai_archive(make_clip(quick_gelu=True), path, mask=False)
    return path


@pytest.fixture
def no_torchscript(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('TorchScript was loaded')

    monkeypatch.setattr(torch.jit, 'load', refuse)


@pytest.mark.parametrize(
    ('save', 'name', 'quick_gelu'),
    [
        (save_openai_archive, 'ViT-B-32.pt', True),
        (save_openai_state_dict, 'ViT-B-32-state.pt', True),
        (save_open_clip, 'epoch_3.pt', False),
        (save_safetensors, 'open_clip_model.safetensors', False),
    ],
)
def test_every_file_gives_open_clips_outputs(
    tmp_path, no_torchscript, monkeypatch, save, name, quick_gelu
):
    told = []
    monkeypatch.setattr(loading, 'print_log', lambda text, *_: told.append(text))
    save(make_clip(quick_gelu=quick_gelu), tmp_path / name)
    got = build_clip(CONFIG, str(tmp_path / name))
    assert ('QuickGELU' in repr(got)) == quick_gelu
    assert_equal_outputs(got, make_clip(quick_gelu=quick_gelu))
    activation = 'QuickGELU' if quick_gelu else 'GELU'
    count = len(make_clip().state_dict())
    assert told == [f'CLIP {tmp_path / name}: all {count} tensors used; {activation}']


def test_a_config_beside_the_weights_says_the_activation(tmp_path):
    """OpenAI's weights as open_clip's hub has them: safetensors without OpenAI's three scalars."""
    path = tmp_path / 'open_clip_model.safetensors'
    save_safetensors(make_clip(quick_gelu=True), path)
    assert 'QuickGELU' not in repr(build_clip(CONFIG, str(path)))
    config = dict(model_cfg=dict(CONFIG, quick_gelu=True), preprocess_cfg=dict(size=32))
    (tmp_path / 'open_clip_config.json').write_text(json.dumps(config))
    assert_equal_outputs(build_clip(CONFIG, str(path)), make_clip(quick_gelu=True))
    assert 'QuickGELU' not in repr(build_clip(CONFIG, str(path), quick_gelu=False))
    (tmp_path / 'open_clip_config.json').unlink()
    # as for open_clip's model names that end in -quickgelu
    assert 'QuickGELU' in repr(build_clip(dict(CONFIG, quick_gelu=True), str(path)))


def test_the_archive_gives_what_open_clips_own_reader_gives(archive):
    """That one runs torch.jit.load; architecture and activation come from the file."""
    theirs = open_clip.load_openai_model(str(archive), device='cpu').eval()
    assert_equal_outputs(build_clip(CONFIG, str(archive)), theirs)
    state = torch.jit.load(archive).state_dict()
    torch.testing.assert_close(read_archive(archive), dict(state), rtol=0, atol=0)


class Bomb:
    """A pickle of this would run code."""

    def __reduce__(self):
        return (print, ('code ran',))


def write_archive(path, data):
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('clip/data.pkl', data)
        file.writestr('clip/constants.pkl', pickle.dumps(()))


def test_code_in_an_archive_is_not_run(tmp_path, no_torchscript, capsys):
    write_archive(tmp_path / 'bomb.pt', pickle.dumps(dict(weight=Bomb())))
    with pytest.raises(ValueError, match=r'bomb.pt was refused: it asks for builtins.print'):
        build_clip(CONFIG, str(tmp_path / 'bomb.pt'))
    assert 'code ran' not in capsys.readouterr().out


def test_damaged_archives(archive, tmp_path):
    data = archive.read_bytes()
    (tmp_path / 'cut.pt').write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match='cut.pt is damaged'):
        build_clip(CONFIG, str(tmp_path / 'cut.pt'))
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        root = source.namelist()[0].split('/')[0]
        pickled = source.read(f'{root}/data.pkl')
    write_archive(tmp_path / 'bare.pt', pickled)  # the tensors' data are gone
    with pytest.raises(ValueError, match='bare.pt is not a readable TorchScript archive'):
        build_clip(CONFIG, str(tmp_path / 'bare.pt'))
    inside = b'c__torch__\nNet\n)\x81q\x00}X\x03\x00\x00\x00ownh\x00sb.'  # a module inside itself
    write_archive(tmp_path / 'circle.pt', b'\x80\x02' + inside)
    with pytest.raises(ValueError, match='circle.pt is not a readable TorchScript archive'):
        build_clip(CONFIG, str(tmp_path / 'circle.pt'))
    write_archive(tmp_path / 'empty.pt', pickle.dumps(None))
    with pytest.raises(ValueError, match='empty.pt holds no tensors'):
        build_clip(CONFIG, str(tmp_path / 'empty.pt'))


def test_another_clip_is_refused(archive, tmp_path):
    """Patches, width, depth or tower: the message names tensors and the settings to change."""
    file = re.escape(str(archive))
    patches = dict(CONFIG, vision_cfg=dict(CONFIG['vision_cfg'], patch_size=8))
    with pytest.raises(ValueError, match=f'{file} do not fit .*visual.conv1.weight .* instead of'):
        build_clip(patches, str(archive))
    deep = dict(CONFIG, text_cfg=dict(CONFIG['text_cfg'], layers=2))
    with pytest.raises(ValueError, match='missing: transformer.resblocks.1.*Set clip.model'):
        build_clip(deep, str(archive))
    residual = dict(CONFIG, vision_cfg=dict(image_size=32, layers=[1, 1, 1, 1], width=8))
    with pytest.raises(ValueError, match='missing: .*; unknown: '):
        build_clip(residual, str(archive))
    torch.save(dict(prompts=torch.rand(3, 4, 24)), tmp_path / 'btp.pth')
    with pytest.raises(ValueError, match='btp.pth do not fit .*unknown: prompts'):
        build_clip(CONFIG, str(tmp_path / 'btp.pth'))
