"""The archive for VOC's evaluation server, and its checker."""

import io
import runpy
import shutil
import sys
import tarfile
import tracemalloc

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS
from PIL import Image
from tiny_segmenter import ROOT

from semples_mmseg.masks import check_submission

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


def check(test_set, submission):
    return check_submission(submission, str(test_set / 'test.txt'), str(test_set / 'images'))


def test_the_archive_is_in_the_servers_layout(test_set, submission):
    with tarfile.open(submission / 'comp6_test_cls.tar.gz') as archive:
        assert archive.getnames() == [f'{FOLDER}/{name}.png' for name in IDS]
        assert all(member.uname == '' and member.uid == 0 for member in archive)
        for index, name in enumerate(IDS):
            mask = Image.open(archive.extractfile(f'{FOLDER}/{name}.png'))
            assert (mask.mode, mask.size, mask.format) == ('P', (30 + index, 20), 'PNG')
            assert mask.getpalette()[:6] == [0, 0, 0, 1, 0, 0]
    assert not [path for path in submission.rglob('*') if path.name.endswith('.tmp')]
    for place in (submission, submission / 'comp6_test_cls.tar.gz'):
        report = check(test_set, place)
        assert report.problems == {} and report.images == 3
        assert str(report) == '3 PNGs of comp6: ready to be sent'


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


def save(path, array, mode='P'):
    image = Image.fromarray(array.astype(np.uint8))
    if mode == 'P':
        image.putpalette([0] * 768)
    image.save(path, format='PNG')


def grey(folder):
    save(folder / f'{IDS[0]}.png', np.zeros((20, 30)), mode='L')


def transposed(folder):
    save(folder / f'{IDS[1]}.png', np.zeros((31, 20)))


def unknown_class(folder):
    save(folder / f'{IDS[1]}.png', np.full((20, 31), 21))


def ignored_pixels(folder):
    save(folder / f'{IDS[1]}.png', np.full((20, 31), 255))


def jpeg(folder):
    Image.new('L', (30, 20)).save(folder / f'{IDS[0]}.png', format='JPEG')


def damaged(folder):
    path = folder / f'{IDS[2]}.png'
    path.write_bytes(path.read_bytes()[:-40])


def missing(folder):
    (folder / f'{IDS[0]}.png').unlink()


def unwanted(folder):
    shutil.copy(folder / f'{IDS[0]}.png', folder / '2011_000003.png')


def stray(folder):
    (folder / 'Thumbs.db').write_bytes(b'')


def two_competitions(folder):
    shutil.copytree(folder, folder.with_name('comp5_test_cls'))


@pytest.mark.parametrize(
    ('spoil', 'problem', 'name'),
    [
        (grey, 'PNGs without a palette', IDS[0]),
        (transposed, 'PNGs of another size than their image', IDS[1]),
        (unknown_class, 'PNGs with values outside 0..20', IDS[1]),
        (ignored_pixels, 'PNGs with values outside 0..20', IDS[1]),
        (jpeg, 'files that are not PNG', IDS[0]),
        (damaged, 'files that cannot be read', IDS[2]),
        (missing, 'images without a prediction', IDS[0]),
        (unwanted, 'images that are not in', '2011_000003'),
        (stray, 'files that do not belong there', 'Thumbs.db'),
        (two_competitions, 'competitions instead of one', 'comp5, comp6'),
    ],
)
def test_each_flaw_is_found_in_folder_and_archive(test_set, submission, spoil, problem, name):
    spoil(submission / FOLDER)
    packed = test_set / 'packed.tgz'
    with tarfile.open(packed, 'w:gz') as archive:
        archive.add(submission / 'results', 'results')
    for place in (submission, packed):
        report = check(test_set, place)
        found = [names for kind, names in report.problems.items() if kind.startswith(problem)]
        assert found and name in found[0][0]
        assert 'NOT ready' in str(report) and problem in str(report)


def test_a_name_twice_in_an_archive_is_found(test_set, submission):
    packed = test_set / 'twice.tar'
    png = (submission / FOLDER / f'{IDS[0]}.png').read_bytes()
    with tarfile.open(packed, 'w') as archive:
        for _ in range(2):
            entry = tarfile.TarInfo(f'./{FOLDER}/{IDS[0]}.png')
            entry.size = len(png)
            archive.addfile(entry, io.BytesIO(png))
    report = check(test_set, packed)
    assert report.problems['images that are there more than once'] == [IDS[0]]
    assert report.problems['images without a prediction'] == list(IDS[1:])


def test_no_archive_leads_elsewhere_or_takes_all_memory(test_set, submission):
    packed = test_set / 'packed.tar'
    with tarfile.open(packed, 'w') as archive:
        archive.add(submission / FOLDER, FOLDER)
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            entry = tarfile.TarInfo(f'{FOLDER}/2011_00000{len(kind)}.png')
            entry.type, entry.linkname = kind, f'{FOLDER}/{IDS[0]}.png'
            archive.addfile(entry)
    assert check(test_set, packed).problems == {}
    large = test_set / 'large.tgz'
    (submission / FOLDER / f'{IDS[0]}.png').write_bytes(bytes(64 << 20))
    with tarfile.open(large, 'w:gz') as archive:
        archive.add(submission / FOLDER, FOLDER)
    tracemalloc.start()
    problems = check(test_set, large).problems
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()
    assert problems == {'files of more than 8,388,608 bytes': [IDS[0]]}


def test_what_cannot_be_checked_says_why(test_set, submission):
    with pytest.raises(FileNotFoundError, match='nothing.tar'):
        check(test_set, test_set / 'nothing.tar')
    with pytest.raises(ValueError, match='neither a folder nor'):
        check(test_set, test_set / 'test.txt')
    archive = submission / 'comp6_test_cls.tar.gz'
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ValueError, match='comp6_test_cls.tar.gz is neither'):
        check(test_set, archive)
    (test_set / f'images/{IDS[1]}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=f'image missing: .*{IDS[1]}'):
        check(test_set, submission)


@pytest.mark.parametrize('code', [0, 1])
def test_the_tools_exit_code_tells(test_set, submission, code, monkeypatch, capsys):
    if code:
        missing(submission / FOLDER)
    tool = str(ROOT / 'tools/analysis/check_voc_submission.py')
    options = ['--list', str(test_set / 'test.txt'), '--images', str(test_set / 'images')]
    monkeypatch.setattr(sys, 'argv', [tool, str(submission), *options])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(tool, run_name='__main__')
    assert exit_.value.code == code
    assert ('NOT ready' if code else 'ready to be sent') in capsys.readouterr().out
