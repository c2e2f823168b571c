"""``confidence.csv``, which people open in spreadsheets."""

import csv
from types import SimpleNamespace

import numpy as np

from semples_mmseg.photos.confidence import read_confidence, write_confidence
from semples_mmseg.utils.label_png import write_mask


def test_names_are_no_formulas_and_come_back_unchanged(tmp_path):
    tags = ['=1+1', '+1', '-1', '@SUM(1)', '\ttab', '\rcr', "'quoted", "''", '7', 'a=b', 'a,"b']
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
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(('=', '+', '-', '@', '\t', '\r'))]
    found = read_confidence(run)
    assert {row.photo: [row.tag] for row in found} == labels
    assert all(row.confidence == row.share == 0 for row in found)
