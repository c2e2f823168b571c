"""Predictions as PNGs: their names and colours, and the archive for VOC's evaluation server."""

import tarfile

import numpy as np
import pytest
import torch
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import METRICS
from PIL import Image

IDS = ('2008_000006', '2008_000011', '2008_000012')
FOLDER = 'results/VOC2012/Segmentation/comp6_test_cls'
VOC_META = dict(
    classes=PascalVOCDataset.METAINFO['classes'], palette=[[k, 0, 0] for k in range(21)]
)


def sample(path, **known):
    label = torch.arange(6).view(1, 2, 3)
    return dict(img_path=path, pred_sem_seg=dict(data=label), **known)


def writer(folder, meta, kind='PredictionWriter', **options):
    made = METRICS.build(dict(type=kind, out_dir=str(folder), **options))
    made.dataset_meta = meta
    return made


def test_names_keep_the_folders_of_the_images(tmp_path):
    made = writer(tmp_path, {}, img_dir='data/images')
    made.process(None, [sample(f'data/images/{name}.v2.jpg') for name in ('a/x', 'b/x', 'x')])
    made.process(None, [sample('anything.jpg', img_id='deep/er/y'), sample('elsewhere/z.png')])
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png'))
    assert found == ['a/x.v2.png', 'b/x.v2.png', 'deep/er/y.png', 'x.v2.png', 'z.png']
    made.process(None, [sample('elsewhere/z.png')])  # once more, as samplers pad the last batch
    with pytest.raises(ValueError, match=r'elsewhere/z.png and other/z.png are the same file'):
        made.process(None, [sample('other/z.png')])


@pytest.mark.parametrize(
    ('meta', 'colours'),
    [
        (dict(palette=[[9, 8, 7], [6, 5, 4]]), [[9, 8, 7], [6, 5, 4], [0, 128, 0]]),
        (dict(palette=None), [[0, 0, 0], [128, 0, 0], [0, 128, 0]]),
        ({}, [[0, 0, 0], [128, 0, 0], [0, 128, 0]]),
    ],
)
def test_colours_are_the_data_sets_or_vocs(tmp_path, meta, colours):
    writer(tmp_path, meta).process(None, [sample('a.jpg')])
    with Image.open(tmp_path / 'a.png') as image:
        np.testing.assert_array_equal(image, [[0, 1, 2], [3, 4, 5]])
        assert np.reshape(image.getpalette(), (-1, 3))[:3].tolist() == colours


@pytest.fixture
def submission(tmp_path):
    """The folder of a submission as the metric writes it, which held a file of an earlier run."""
    stale = tmp_path / FOLDER / 'stale.png'
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b'')
    metric = writer(tmp_path, VOC_META, 'VOCSubmission', competition='comp6')
    for index, name in enumerate(IDS):
        label = torch.randint(0, 21, (1, 20, 30 + index))
        metric.process(None, [dict(img_path=f'/data/{name}.jpg', pred_sem_seg=dict(data=label))])
    assert metric.evaluate(3) == dict(predictions=3)
    return tmp_path


def test_the_archive_is_in_the_servers_layout(submission):
    with tarfile.open(submission / 'comp6_test_cls.tar.gz') as archive:
        assert archive.getnames() == [f'{FOLDER}/{name}.png' for name in IDS]
        assert all(member.uname == '' and member.uid == 0 for member in archive)
        for index, name in enumerate(IDS):
            mask = Image.open(archive.extractfile(f'{FOLDER}/{name}.png'))
            assert (mask.mode, mask.size, mask.format) == ('P', (30 + index, 20), 'PNG')
            assert mask.getpalette()[:6] == [0, 0, 0, 1, 0, 0]
    assert not [path for path in submission.rglob('*') if path.name.endswith('.tmp')]


def test_an_archive_that_fails_leaves_the_old_one(submission, monkeypatch):
    archive = submission / 'comp6_test_cls.tar.gz'
    before = archive.read_bytes()

    def full(*args, **kwargs):
        raise OSError('No space left on device')

    monkeypatch.setattr(tarfile.TarFile, 'addfile', full)
    with pytest.raises(OSError, match='No space'):
        writer(submission, VOC_META, 'VOCSubmission', competition='comp6').compute_metrics(IDS)
    assert archive.read_bytes() == before
    assert sorted(path.name for path in submission.iterdir()) == [archive.name, 'results']


def test_wrong_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match='comp7'):
        writer(tmp_path, VOC_META, 'VOCSubmission', competition='comp7')
    metric = writer(tmp_path, dict(classes=tuple(range(81))), 'VOCSubmission')
    assert metric.archive.name == 'comp5_test_cls.tar.gz'
    with pytest.raises(ValueError, match='has 81: '):
        metric.process(None, [dict()])
    names = VOC_META['classes']
    metric.dataset_meta = dict(classes=(*names[:19], 'tv', 'train'))
    with pytest.raises(ValueError, match='has 21: .*sofa, tv, train'):
        metric.process(None, [dict()])
