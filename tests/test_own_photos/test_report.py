"""``semples-mmseg report``: one file, whose text is escaped and whose pictures are inside."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from semples_mmseg.cli.main import main
from semples_mmseg.own_photos.confidence import read_confidence
from semples_mmseg.own_photos.report import write_report
from semples_mmseg.own_photos.run import Run


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
    with pytest.raises(SystemExit) as end:
        main(['report', str(explored.folder)])
    assert end.value.code == 0 and 'report.html' in capsys.readouterr().out
    text = explored.report.read_text(encoding='utf-8')
    page = Page(text)
    images = [attributes for tag, attributes in page.found if tag == 'img']
    assert len(images) == 4 * 6
    assert all(image['src'].startswith('data:image/webp') and image['alt'] for image in images)
    assert not re.search(r'(src|href)="(?!data:)', text) and 'url(' not in text
    assert ('b', {}) not in page.found and '&lt;b&gt;&amp;2' in text  # the name of a photo
    first = next(image['alt'] for image in images)
    assert first == f'photo {read_confidence(explored)[0].photo}'
    assert text.count('<svg') == 4 and 'classify: loss 1.999' in text


def test_an_unfinished_run_says_so(explored, tmp_path):
    shutil.copytree(explored.folder, tmp_path / 'run')
    (tmp_path / 'run/confidence.csv').unlink()
    with pytest.raises(FileNotFoundError, match='not finished'):
        write_report(Run(tmp_path / 'run'))
