"""The labels that the masks of VOC's whole trainval give, against those of its annotations."""

import json
import zipfile
from pathlib import Path

import pytest

from semples_mmseg.prepare.voc12 import finish_mask

SAMPLE = Path(__file__).parents[3] / 'shared' / 'voc_sample'


@pytest.mark.skipif(not SAMPLE.is_dir(), reason='the sample of real VOC files is not there')
def test_labels_from_masks_differ_from_annotations_in_two_images(tmp_path: Path) -> None:
    with zipfile.ZipFile(SAMPLE / 'masks_trainval.zip') as archive:
        archive.extractall(tmp_path)
    expected = json.loads((SAMPLE / 'labels_trainval.json').read_text())
    paths = [tmp_path / f'SegmentationClassAug/{i}.png' for i in expected]
    assert len(paths) == 2913

    present = [finish_mask((path, path))[0] for path in paths]
    labels = {p.stem: [k - 1 for k in found] for p, found in zip(paths, present, strict=True)}
    assert {i for i in expected if labels[i] != sorted(expected[i])} == {
        '2011_001621',
        '2008_005245',
    }
