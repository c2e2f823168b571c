"""The archive for VOC's evaluation server."""

import tarfile

import pytest
import torch
from mmseg.registry import METRICS
from PIL import Image

IDS = ('2008_000006', '2008_000011', '2008_000012')
FOLDER = 'results/VOC2012/Segmentation/comp6_test_cls'
VOC_META = dict(classes=tuple(range(21)), palette=[[k, 0, 0] for k in range(21)])


@pytest.fixture
def test_set(tmp_path):
    """A list and images of different sizes."""
    (tmp_path / 'images').mkdir()
    for index, name in enumerate(IDS):
        Image.new('RGB', (30 + index, 20)).save(tmp_path / f'images/{name}.jpg')
    (tmp_path / 'test.txt').write_text('\n'.join(IDS))
    return tmp_path


@pytest.fixture
def submission(test_set):
    """A good submission as the metric writes it."""
    metric = METRICS.build(
        dict(type='VOCSubmission', out_dir=str(test_set / 'out'), competition='comp6')
    )
    metric.dataset_meta = VOC_META
    rng = torch.Generator().manual_seed(0)
    for index, name in enumerate(IDS):
        label = torch.randint(0, 21, (1, 20, 30 + index), generator=rng)
        sample = dict(img_path=f'/data/{name}.jpg', pred_sem_seg=dict(data=label))
        metric.process(None, [sample])
    assert metric.evaluate(3) == dict(predictions=3)
    return test_set / 'out'


def test_the_archive_is_in_the_servers_layout(test_set, submission):
    with tarfile.open(submission / 'comp6_test_cls.tar.gz') as archive:
        assert archive.getnames() == [f'{FOLDER}/{name}.png' for name in IDS]
        assert all(member.uname == '' and member.uid == 0 for member in archive)
        for index, name in enumerate(IDS):
            mask = Image.open(archive.extractfile(f'{FOLDER}/{name}.png'))
            assert (mask.mode, mask.size, mask.format) == ('P', (30 + index, 20), 'PNG')
            assert mask.getpalette()[:6] == [0, 0, 0, 1, 0, 0]
    assert not [path for path in submission.rglob('*') if path.name.endswith('.tmp')]


def test_an_earlier_runs_files_stay_out_of_the_archive(test_set):
    stale = test_set / 'out' / FOLDER / 'stale.png'
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b'')
    metric = METRICS.build(
        dict(type='VOCSubmission', out_dir=str(test_set / 'out'), competition='comp6')
    )
    metric.dataset_meta = VOC_META
    label = torch.zeros(1, 20, 30, dtype=torch.int64)
    metric.process(None, [dict(img_id=IDS[0], pred_sem_seg=dict(data=label))])
    metric.evaluate(1)
    with tarfile.open(metric.archive) as archive:
        assert archive.getnames() == [f'{FOLDER}/{IDS[0]}.png']


def test_an_archive_that_fails_leaves_the_old_one(test_set, submission, monkeypatch):
    archive = submission / 'comp6_test_cls.tar.gz'
    before = archive.read_bytes()
    metric = METRICS.build(dict(type='VOCSubmission', out_dir=str(submission), competition='comp6'))

    def full(*args, **kwargs):
        raise OSError('No space left on device')

    monkeypatch.setattr(tarfile.TarFile, 'addfile', full)
    with pytest.raises(OSError, match='No space'):
        metric.compute_metrics(list(IDS))
    assert archive.read_bytes() == before
    assert sorted(path.name for path in submission.iterdir()) == [archive.name, 'results']


def test_wrong_options_are_refused(test_set):
    with pytest.raises(ValueError, match='comp7'):
        METRICS.build(dict(type='VOCSubmission', out_dir=str(test_set), competition='comp7'))
    metric = METRICS.build(dict(type='VOCSubmission', out_dir=str(test_set)))
    assert metric.archive.name == 'comp5_test_cls.tar.gz'
    metric.dataset_meta = dict(classes=tuple(range(81)))
    with pytest.raises(ValueError, match='81 classes'):
        metric.process(None, [dict()])
