"""``confidence.csv``, which people open in spreadsheets."""

import csv
import io
from types import SimpleNamespace

import numpy as np
import pytest

from semples_mmseg.photos.confidence import read_confidence, write_confidence
from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.label_png import write_mask


def test_names_are_no_formulas_and_come_back_unchanged(tmp_path):
    tags = ['=1+1', '+1', '-1', '@SUM(1)', '\ttab', '\rcr', "'quoted", "''", '7', 'a=b', 'a,"b']
    tags += ['a;=1', "a; '=1;-2", 'a";+1', '＝1']
    names = [tag if tag.isprintable() else 'photo' + tag.strip() for tag in tags]
    labels = {name: [tag] for name, tag in zip(names, tags, strict=True)}
    run = SimpleNamespace(
        class_names=lambda: tags,
        labels=lambda: labels,
        masks=tmp_path / 'masks',
        predictions=tmp_path / 'masks',
        confidence=tmp_path / 'confidence.csv',
    )
    for name in names:
        write_mask(run.masks / f'{name}.png', np.zeros((2, 2), np.uint8))
    write_confidence(run)
    with open(run.confidence, newline='', encoding='utf-8') as file:
        text = file.read()
    for separator in ',;':  # of the spreadsheets of a country
        cells = [c for row in csv.reader(io.StringIO(text, ''), delimiter=separator) for c in row]
        assert not [c for c in cells if c.lstrip(' ').startswith(tuple('=+-@\t\r＝'))]
    found = read_confidence(run)
    assert {row.photo: [row.tag] for row in found} == labels
    assert all(row.confidence == row.share == 0 for row in found)
    for bad in ('photo,tag\n', 'photo;tag;confidence;share\n', 'gone,7,0.1,0.2\n', '7,7,"0,5",0\n'):
        head = '' if 'tag' in bad else 'photo,tag,confidence,share\n'
        run.confidence.write_text(head + bad + '7,7\n')
        with pytest.raises(Refusal, match=r'confidence\.csv, row 2'):
            read_confidence(run)
