"""``semples-mmseg report``: one file, whose text is escaped and whose pictures are inside."""

import base64
import hashlib
import json
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from semples_mmseg.cli.main import main
from semples_mmseg.photos.confidence import read_confidence
from semples_mmseg.photos.report_page import judge, write_report
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
    left_out = dict(loss=math.nan, epoch=1, step=3)  # and a run that was killed while it wrote
    lines = [json.dumps(line) for line in [*lines, left_out, []]]
    log.write_text('\n'.join([*lines, '{"loss": 1.0, "epo']))
    log = explored.segmenter / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    lines = [dict(loss=0.9 - step / 50, epoch=1, step=step) for step in (0, 10, 20)]
    log.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    with pytest.raises(SystemExit) as end:
        main(['report', str(explored.folder)])
    assert end.value.code == 0 and 'report.html' in capsys.readouterr().out
    text = explored.report.read_text(encoding='utf-8')
    page = Page(text)
    images = [attributes for tag, attributes in page.found if 'src' in attributes]
    assert len(images) == 4 * 6 + 2 * 2 + 5  # photos, prompts of the classes, losses
    assert all(image['src'].startswith('data:image/webp') and image['alt'] for image in images)
    assert not re.search(r'(src|href)="(?!data:)', text) and 'url(' not in text
    assert ('b', {}) not in page.found and '&lt;b&gt;&amp;2' in text  # the name of a photo
    first = images[0]['alt']
    assert first == f'photo of {read_confidence(explored)[0].photo}'
    assert 'classify: loss 1.999' in text
    assert 'Segmenter: loss 0.900 to 0.500' in text and 'seed mIoU' not in text
    policy = next(attributes for tag, attributes in page.found if 'http-equiv' in attributes)
    assert policy['content'].startswith("default-src 'none'; img-src data:;")
    assert page.found.count(('th', dict(scope='row'))) >= 2 + 2
    cards = [json.loads(one['data-iou']) for tag, one in page.found if 'data-iou' in one]
    assert [list(card.values()) for card in cards] == [
        [pytest.approx(row.confidence, abs=1e-3)] for row in read_confidence(explored)
    ]
    script = text.partition('<script>')[2].partition('</script>')[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy['content'] and '&lt;b&gt;' not in script


def test_true_masks_add_the_curve_of_the_seeds(explored, tmp_path):
    names, labels = explored.class_names(), explored.labels()
    for name in list(labels)[:2]:  # all of the photo is its class: the lowest score is best
        mask = np.full((48, 64), 1 + names.index(labels[name][0]))
        write_mask(tmp_path / 'truth' / f'{name}.png', mask)
    write_report(explored, 1, tmp_path / 'truth')
    text = explored.report.read_text(encoding='utf-8')
    found = re.search(r'seed mIoU: ([\d.]+) at best, at 0.05; ([\d.]+) at 0.40', text)
    assert float(found[1]) > float(found[2]) and 'CAMs of 2 photos' in text
    assert 'a diagnostic' in text
    with pytest.raises(FileNotFoundError, match='--truth: .* has no mask of the photos'):
        write_report(explored, 1, tmp_path)


def test_the_judgement(explored):
    """What speaks against a run that has learned nothing, and against one that has."""
    good = dict(cup=dict(photos=40, median=0.7), key=dict(photos=40, median=0.6))
    falling, flat = ([(step, by * step) for step in range(9)] for by in (-0.1, 0.1))
    (said,) = judge(explored, good, dict(classify=falling))
    assert '--weights demo' in said  # the run of this test
    poor = good | dict(key=dict(photos=3, median=0.04))
    said = judge(explored, poor, dict(classify=falling, match=flat))[1:]
    for words, one in zip(
        ('photos of key (3)', 'key (0.04)', 'not fall in match'), said, strict=True
    ):
        assert words in one


def test_photos_that_were_moved(explored, tmp_path, capsys):
    shutil.copytree(explored.folder, tmp_path / 'run')
    shutil.copytree(explored.folder.parent / 'photos', tmp_path / 'moved')
    record = tmp_path / 'run/record.json'
    record.write_text(record.read_text().replace(str(explored.folder.parent), '/gone'))
    words = ['report', str(tmp_path / 'run'), '--json', '--rows', '1']
    for more, code in (([], 2), (['--photos', str(tmp_path / 'moved')], 0)):
        with pytest.raises(SystemExit) as end:
            main([*words, *more])
        assert end.value.code == code
    shown = json.loads(capsys.readouterr().out)
    assert shown['classes']['cup']['photos'] == 2 and shown['judgement']


def test_an_unfinished_run_says_so(explored, tmp_path):
    shutil.copytree(explored.folder, tmp_path / 'run')
    (tmp_path / 'run/confidence.csv').unlink()
    with pytest.raises(FileNotFoundError, match='not finished'):
        write_report(Run(tmp_path / 'run'))
    with pytest.raises(Refusal, match='at most 300 photos'):
        write_report(explored, 5000)


@pytest.mark.parametrize(
    ('part', 'key', 'value'),
    [
        ('settings', 'classes', 'abc'),
        ('settings', 'classes', None),
        ('settings', 'labels', {'cup/1': ['car']}),
        ('settings', 'labels', []),
        ('settings', 'labels', {'cup/1': ['cup']}),
        ('inputs', 'photos/../key.png', [1, 1, '']),
        ('inputs', 'photos/.ssh/id_rsa', [1, 1, '']),
        ('about', 'photos', 3),
        ('about', 'sizes', {'cup/1.png': [1, 'x']}),
        ('about', 'fit', {'stages': 3}),
    ],
)
def test_an_entry_changed_by_hand_is_named(explored, tmp_path, part, key, value):
    content = json.loads((explored.folder / 'record.json').read_text())
    content['run'][part][key] = value
    (tmp_path / 'record.json').write_text(json.dumps(content))
    with pytest.raises(Refusal, match=rf'record\.json.*{key.partition("/")[0]}|{part} of'):
        Run(tmp_path).fit_settings()
