"""Pseudo masks from a config and a checkpoint, through MMEngine's Runner."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from PIL import Image
from run_tool import run_tool
from tiny import TINY_CLIP

from semples_mmseg.masks.generate import make_pseudo_masks
from semples_mmseg.masks.segment_voting import vote
from semples_mmseg.models.soft_masks import label_map
from semples_mmseg.utils.label_png import read_mask
from semples_mmseg.utils.record import Record

CLASSES = ('background', 'cat', 'dog')


@MODELS.register_module(force=True)
class BrightnessCAM(BaseModel):
    """The CAM of every present class is the image's brightness times a weight."""

    calls: list = []  # noqa: RUF012
    dies_at: str | None = None
    dies_after: Path | None = None

    def __init__(self, background_score=0.3, **kwargs):
        super().__init__(**kwargs)
        self.background_score = background_score
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        for image, sample in zip(inputs, data_samples, strict=True):
            assert 'gt_sem_seg' not in sample
            if sample.img_id == self.dies_at:
                while not self.dies_after.exists():  # a worker takes seconds to start
                    time.sleep(0.01)
                raise MemoryError('died here')
            classes = sample.image_labels.nonzero().flatten()
            cam = (self.weight * image.float().mean(0) / 255).clamp(0, 1)
            sample.cams = PixelData(data=cam.expand(len(classes), *cam.shape))
            sample.set_data(dict(cam_classes=classes))
            labels = label_map(sample.cams.data, classes, self.background_score)
            sample.pred_sem_seg = PixelData(data=labels[None])
            sample.set_metainfo(dict(background_score=self.background_score))
            self.calls.append(sample.img_id)
        return data_samples


@pytest.fixture
def world(tmp_path):
    """Three images without masks, a checkpoint, and the config of a whole experiment."""
    rng, labels = np.random.default_rng(0), dict(a=['cat'], b=['dog'], c=[])
    (tmp_path / 'images').mkdir()
    for i, name in enumerate(labels):
        pixels = rng.integers(0, 256, (6 + i, 8, 1), np.uint8).repeat(3, -1)
        Image.fromarray(pixels).save(tmp_path / 'images' / f'{name}.png')
    (tmp_path / 'labels.json').write_text(json.dumps(labels))
    (tmp_path / 'train.txt').write_text('\n'.join(labels))
    torch.save(dict(state_dict=dict(weight=torch.tensor(1.0))), tmp_path / 'weights.pth')
    BrightnessCAM.calls.clear()
    masks = dict(type='BaseSegDataset', data_root='/nowhere', pipeline=[])
    return Config(
        dict(
            default_scope='mmseg',
            work_dir=str(tmp_path / 'work'),
            model=dict(type='BrightnessCAM', background_score=0.3),
            # what a training run needs, and what must not be opened here
            train_dataloader=dict(batch_size=1, num_workers=0, dataset=masks),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)),
            param_scheduler=[dict(type='ConstantLR')],
            val_dataloader=dict(batch_size=1, num_workers=0, dataset=masks),
            val_cfg=dict(),
            val_evaluator=dict(type='IoUMetric'),
            pseudo_mask_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='WeakLabelDataset',
                    metainfo=dict(classes=CLASSES),
                    data_root=str(tmp_path),
                    data_prefix=dict(img_path='images'),
                    ann_file='train.txt',
                    label_file='labels.json',
                    img_suffix='.png',
                    test_mode=True,
                    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackWeakInputs')],
                ),
            ),
            pseudo_mask_evaluator=dict(),
        )
    )


def expected(tmp_path, name, label, score):
    pixels = np.asarray(Image.open(tmp_path / 'images' / f'{name}.png'))[..., 0]
    return np.where(pixels.astype(np.float32) / 255 > np.float32(score), label, 0)


def recorded(folder):
    return Record(folder)['masks']


def test_masks_without_any_ground_truth_and_their_record(tmp_path, world):
    world.pseudo_mask_dataloader.dataset.metainfo.palette = [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    metrics = make_pseudo_masks(world, str(tmp_path / 'weights.pth'), str(tmp_path / 'out'))
    assert metrics['masks'] == 3
    for name, label in (('a', 1), ('b', 2), ('c', 0)):
        mask = read_mask(tmp_path / 'out' / f'{name}.png')
        np.testing.assert_array_equal(mask, expected(tmp_path, name, label, 0.3))
    entry = recorded(tmp_path / 'out')
    assert entry.settings['classes'] == [*CLASSES] and entry.settings['background_score'] == 0.3
    assert entry.about['palette'] == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert sorted(entry.inputs) == ['checkpoint', 'photos/a', 'photos/b', 'photos/c']
    assert sorted(entry.outputs) == ['a.png', 'b.png', 'c.png']


def repaint(file):
    with Image.open(file) as image:
        changed = image.point(lambda value: 255 - value)
    changed.save(file)


def edited(data_set='', **changes):
    """A function that edits the config, or the metainfo of its data set."""

    def edit(root, config):
        (config.pseudo_mask_dataloader.dataset.metainfo if data_set else config).update(changes)

    return edit


OTHER_TAGS = '{"a": ["dog"], "b": ["dog"], "c": []}'
CHANGES = dict(
    photo=(lambda root, _: repaint(root / 'images' / 'b.png'), 'photos/b has other content'),
    mask=(lambda root, _: repaint(root / 'out' / 'b.png'), 'b.png was changed'),
    tags=(lambda root, _: (root / 'labels.json').write_text(OTHER_TAGS), 'tags of a'),
    checkpoint=(
        lambda root, _: torch.save(dict(weight=torch.ones(())), root / 'weights.pth'),
        'checkpoint has other content',
    ),
    score=(edited(model=dict(type='BrightnessCAM', background_score=0.4)), 'background_score 0.3'),
    refinement=(edited(pseudo_mask_evaluator=dict(refine=dict(type='PAMR'))), 'refinement'),
    classes=(edited('metainfo', classes=(*CLASSES, 'owl')), 'classes.3 not set'),
)


@pytest.mark.parametrize(('change', 'named'), CHANGES.values(), ids=CHANGES)
def test_masks_of_something_else_are_refused_unless_made_anew(tmp_path, world, change, named):
    out = tmp_path / 'out'
    arguments = world, str(tmp_path / 'weights.pth'), str(out)
    make_pseudo_masks(*arguments)
    change(tmp_path, world)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ValueError, match=f'{named}.*--overwrite'):
        make_pseudo_masks(*arguments)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert make_pseudo_masks(*arguments, overwrite=True)['masks'] == 3
    assert make_pseudo_masks(*arguments) == dict(masks=0)


@pytest.mark.parametrize(
    ('part', 'key', 'value'),
    [('settings', 'background_score', value) for value in (None, '0.3', 3, True, [])]
    + [('about', 'tags', value) for value in ([], 'a', None)],
)
def test_a_record_changed_by_hand_is_named(tmp_path, world, part, key, value):
    arguments = world, str(tmp_path / 'weights.pth'), str(tmp_path / 'out')
    make_pseudo_masks(*arguments)
    file = tmp_path / 'out/record.json'
    content = json.loads(file.read_text())
    content['masks'][part][key] = value
    file.write_text(json.dumps(content))
    for score in (None, 'auto'):
        with pytest.raises(ValueError, match=rf'record\.json is damaged \({part}.{key}'):
            make_pseudo_masks(*arguments, background_score=score)


def test_a_folder_of_other_png_files_is_never_touched(tmp_path, world):
    (tmp_path / 'out').mkdir()
    Image.new('L', (2, 2)).save(tmp_path / 'out' / 'precious.png')
    arguments = world, str(tmp_path / 'weights.pth'), str(tmp_path / 'out')
    for overwrite in (False, True):
        with pytest.raises(ValueError, match='out holds PNG files'):
            make_pseudo_masks(*arguments, overwrite=overwrite)
    assert (tmp_path / 'out' / 'precious.png').is_file()


def test_resuming_predicts_only_what_is_missing(tmp_path, world):
    arguments = world, str(tmp_path / 'weights.pth'), str(tmp_path / 'out'), 0.5
    world.pseudo_mask_dataloader.dataset.indices = [0, 1]
    make_pseudo_masks(*arguments)
    assert BrightnessCAM.calls == ['a', 'b']
    (tmp_path / 'out' / 'b.png').unlink()
    make_pseudo_masks(*arguments)
    assert BrightnessCAM.calls == ['a', 'b', 'b']
    del world.pseudo_mask_dataloader.dataset['indices']
    make_pseudo_masks(*arguments)
    assert BrightnessCAM.calls == ['a', 'b', 'b', 'c']
    assert make_pseudo_masks(*arguments) == dict(masks=0)
    mask = read_mask(tmp_path / 'out' / 'b.png')
    np.testing.assert_array_equal(mask, expected(tmp_path, 'b', 2, 0.5))
    make_pseudo_masks(*arguments, overwrite=True)
    assert BrightnessCAM.calls == ['a', 'b', 'b', 'c', 'a', 'b', 'c']


@pytest.mark.parametrize('refine', ['none', 'crf-voc'])
def test_a_run_that_died_is_continued(tmp_path, world, monkeypatch, refine):
    if refine == 'crf-voc':
        pytest.importorskip('pydensecrf.densecrf')
    world.pseudo_mask_evaluator.num_workers = 1
    weights = str(tmp_path / 'weights.pth')
    make_pseudo_masks(world, weights, str(tmp_path / 'unbroken'), refine=refine)
    assert BrightnessCAM.calls == ['a', 'b', 'c']
    out = tmp_path / 'out'
    monkeypatch.setattr(BrightnessCAM, 'dies_at', 'c')
    monkeypatch.setattr(BrightnessCAM, 'dies_after', out / 'b.png')  # no mask is half done
    with pytest.raises(MemoryError, match='died here'):
        make_pseudo_masks(world, weights, str(out), refine=refine)
    assert BrightnessCAM.calls == ['a', 'b', 'c', 'a', 'b']
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob('*.png')}
    assert finished and not list(out.glob('.*.tmp'))  # no part of a file
    monkeypatch.setattr(BrightnessCAM, 'dies_at', None)
    left = [name for name in 'abc' if f'{name}.png' not in finished]
    BrightnessCAM.calls.clear()
    make_pseudo_masks(world, weights, str(out), refine=refine)
    assert BrightnessCAM.calls == left
    for name, written in finished.items():
        assert (out / name).stat().st_mtime_ns == written
    for name in 'abc':
        file = f'{name}.png'
        assert (out / file).read_bytes() == (tmp_path / 'unbroken' / file).read_bytes()


def test_a_refinement_is_chosen_by_name_in_place_of_the_configs(tmp_path, world):
    world.pseudo_mask_evaluator.refine = dict(type='PAMR', iterations=2)
    weights = str(tmp_path / 'weights.pth')
    for refine, iterations in ((None, 2), ('pamr', 10)):
        make_pseudo_masks(world, weights, str(tmp_path / str(refine)), refine=refine)
        found = recorded(tmp_path / str(refine)).settings['refinement']
        assert found['iterations'] == iterations
    with pytest.raises(ValueError, match="No refinement 'snake'; .*segments:FOLDER"):
        make_pseudo_masks(world, weights, str(tmp_path / 'out'), refine='snake')
    with pytest.raises(ValueError, match='refinement.iterations 10 there, 2 now'):
        make_pseudo_masks(world, weights, str(tmp_path / 'pamr'))


def test_segments_are_inputs_that_are_checked_and_compared(tmp_path, world):
    segments = tmp_path / 'segments'
    segments.mkdir()
    world.pseudo_mask_evaluator.num_workers = 0
    arguments = world, str(tmp_path / 'weights.pth'), str(tmp_path / 'out')
    for number, name in enumerate('abc'):
        with pytest.raises(FileNotFoundError, match=f'{name}.png has no segments'):
            make_pseudo_masks(*arguments, refine=f'segments:{segments}')
        halves = np.repeat(np.uint8([[1] * 4 + [2] * 4]), 6 + number, 0)
        Image.fromarray(halves).save(segments / f'{name}.png')
    assert not BrightnessCAM.calls
    make_pseudo_masks(*arguments, refine=f'segments:{segments}')
    mask, label = (read_mask(tmp_path / 'out/b.png'), expected(tmp_path, 'b', 2, 0.3))
    np.testing.assert_array_equal(mask, vote(label.astype(np.uint8), halves[:7]))
    entry = recorded(tmp_path / 'out')
    assert {f'segments/{name}' for name in 'abc'} < entry.inputs.keys()
    Image.fromarray(halves[:7, ::-1]).save(segments / 'b.png')
    with pytest.raises(ValueError, match='segments/b has other content'):
        make_pseudo_masks(*arguments, refine=f'segments:{segments}')


def test_a_generator_that_nothing_trains_needs_no_checkpoint(tmp_path, world):
    clip = dict(model=TINY_CLIP, pretrained=None)
    generator = dict(type='CLIPAttentionGenerator', clip=clip)
    world.model = dict(type='CAMSegmentor', class_names=['cat', 'dog'], mask_generator=generator)
    world.model.background_score = 0.3
    assert make_pseudo_masks(world, 'none', str(tmp_path / 'out'))['masks'] == 3
    entry = recorded(tmp_path / 'out')
    assert 'checkpoint' not in entry.inputs
    assert entry.settings['generator']['type'] == 'CLIPAttentionGenerator'
    world.model.mask_generator.template = 'a photo of {}.'
    with pytest.raises(ValueError, match='generator.template not set there'):
        make_pseudo_masks(world, 'none', str(tmp_path / 'out'))


def test_the_tool_passes_everything_on(tmp_path, world):
    world.train_masks = world.pop('pseudo_mask_dataloader')
    world.dump(tmp_path / 'config.py')
    arguments = (
        f'{tmp_path}/config.py {tmp_path}/weights.pth --out {tmp_path}/out '
        '--background-score 0.5 --refine pamr --split-dataloader train_masks '
        '--cfg-options train_masks.dataset.indices=2'
    )
    assert run_tool('make_pseudo_masks.py', *arguments.split()) in (0, None)
    assert sorted(p.name for p in (tmp_path / 'out').glob('*.png')) == ['a.png', 'b.png']
    found = recorded(tmp_path / 'out').settings
    assert found['background_score'] == 0.5 and found['refinement']['type'] == 'PAMR'


def test_another_run_in_the_folder_is_refused(tmp_path, world):
    out = tmp_path / 'out'
    out.mkdir()
    lock = FileLock(out / '.lock')
    with lock, pytest.raises(ValueError, match=f'another run is working in {out}'):
        make_pseudo_masks(world, str(tmp_path / 'weights.pth'), str(out))


def test_errors_before_work_starts(tmp_path, world):
    weights, out = str(tmp_path / 'weights.pth'), str(tmp_path / 'out')
    with pytest.raises(FileNotFoundError, match='none.pth'):
        make_pseudo_masks(world, str(tmp_path / 'none.pth'), out)
    with pytest.raises(ValueError, match='no `elsewhere`'):
        make_pseudo_masks(world, weights, out, dataloader_key='elsewhere')
    with pytest.raises(ValueError, match=r'`background_score` must be in \[0, 1\]'):
        make_pseudo_masks(world, weights, out, background_score=43)
    world.pseudo_mask_evaluator.background_score = 'auto'
    with pytest.raises(ValueError, match='--background-score'):
        make_pseudo_masks(world, weights, str(tmp_path / 'auto'))
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='file/m.*--out'):
        make_pseudo_masks(world, weights, str(tmp_path / 'file' / 'm'), 0.5)
    many = ('background', *(f'c{n}' for n in range(300)))
    world.pseudo_mask_dataloader.dataset.metainfo.classes = many
    with pytest.raises(ValueError, match='301 classes.*at most 255'):
        make_pseudo_masks(world, weights, out, background_score=0.5)
    assert not (tmp_path / 'out').exists()
