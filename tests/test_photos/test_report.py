"""``semples-mmseg report``: one file, whose text is escaped and whose pictures are inside."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from semples_mmseg.cli.main import main
from semples_mmseg.photos.confidence import read_confidence
from semples_mmseg.photos.report_page import write_report
from semples_mmseg.photos.run import Run
from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.label_png import write_mask


class Page(HTMLParser):
    """Tags and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_page(explored, capsys):
    log = explored.semples / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    lines = [dict(loss=2.0 - epoch / 999, epoch=epoch, step=epoch * 2) for epoch in range(1, 999)]
    log.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    log = explored.segmenter / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    lines = [dict(loss=0.9 - step / 50, epoch=1, step=step) for step in (0, 10, 20)]
    log.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    with pytest.raises(SystemExit) as end:
        main(['report', str(explored.folder)])
    assert end.value.code == 0 and 'report.html' in capsys.readouterr().out
    text = explored.report.read_text(encoding='utf-8')
    page = Page(text)
    images = [attributes for tag, attributes in page.found if tag == 'img']
    assert len(images) == 4 * 6 + 2 * 2  # rows, and the prompts of the classes
    assert all(image['src'].startswith('data:image/webp') and image['alt'] for image in images)
    assert not re.search(r'(src|href)="(?!data:)', text) and 'url(' not in text
    assert ('b', {}) not in page.found and '&lt;b&gt;&amp;2' in text  # the name of a photo
    first = images[2 * 2]['alt']
    assert first == f'photo {read_confidence(explored)[0].photo}'
    assert text.count('<svg') == 5 and 'classify: loss 1.999' in text
    assert 'Segmenter: loss 0.900 to 0.500' in text and 'seed mIoU' not in text
    policy = next(attributes for tag, attributes in page.found if 'http-equiv' in attributes)
    assert policy['content'].startswith("default-src 'none'; img-src data:;")
    assert page.found.count(('th', dict(scope='row'))) >= 4 + 2 + 2
    least = read_confidence(explored)[0]
    assert f'<br>{least.tag}: {least.confidence:.2f}' in text


def test_true_masks_add_the_curve_of_the_seeds(explored, tmp_path):
    names, labels = explored.class_names(), explored.labels()
    for name in list(labels)[:2]:  # all of the photo is its class: the lowest score is best
        mask = np.full((48, 64), 1 + names.index(labels[name][0]))
        write_mask(tmp_path / 'truth' / f'{name}.png', mask)
    text = write_report(explored, 1, tmp_path / 'truth').read_text(encoding='utf-8')
    found = re.search(r'seed mIoU: ([\d.]+) at best, at 0.05; ([\d.]+) at 0.40', text)
    assert float(found[1]) > float(found[2]) and 'CAMs of 2 photos' in text
    assert 'a diagnostic' in text
    with pytest.raises(FileNotFoundError, match='--truth: .* has no mask of the photos'):
        write_report(explored, 1, tmp_path)


def test_an_unfinished_run_says_so(explored, tmp_path):
    shutil.copytree(explored.folder, tmp_path / 'run')
    (tmp_path / 'run/confidence.csv').unlink()
    with pytest.raises(FileNotFoundError, match='not finished'):
        write_report(Run(tmp_path / 'run'))


@pytest.mark.parametrize(
    ('part', 'key', 'value'),
    [
        ('settings', 'classes', 'abc'),
        ('settings', 'classes', None),
        ('settings', 'labels', {'cup/1': ['car']}),
        ('settings', 'labels', []),
        ('about', 'photos', 3),
        ('about', 'sizes', {'cup/1.png': [1, 'x']}),
        ('about', 'fit', {'stages': 3}),
    ],
)
def test_an_entry_changed_by_hand_is_named(explored, tmp_path, part, key, value):
    content = json.loads((explored.folder / 'record.json').read_text())
    content['run'][part][key] = value
    (tmp_path / 'record.json').write_text(json.dumps(content))
    with pytest.raises(Refusal, match=rf'record\.json.*{key}'):
        Run(tmp_path).fit_settings()
