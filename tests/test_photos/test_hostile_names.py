"""Names of folders, photos and classes that mean something to a config, a console or a picture."""

import io
import json

import numpy as np
import pytest
import yaml
from mmengine.config import Config
from PIL import Image

from semples_mmseg.figures.pictures import picture_grid
from semples_mmseg.photos.exports.folders import write_yolo
from semples_mmseg.photos.exports.labelled import LabelledPhotos
from semples_mmseg.photos.fit import begin
from semples_mmseg.photos.inspection import inspect_photos, show_inspection
from semples_mmseg.photos.run import Run
from semples_mmseg.photos.settings import choose_settings
from semples_mmseg.runs.recipe import read_recipe
from semples_mmseg.utils.configs import read_config
from semples_mmseg.utils.console import plain_console
from semples_mmseg.utils.errors import Refusal

CLASSES = ('[/red]', ':smile:', '$x$ {run}', '</script>', "it's")


@pytest.fixture
def photos(tmp_path):
    """Two photos of each class in a folder that MMEngine would fill in, were it not escaped."""
    root = tmp_path / '{{$HOME:x}} {{fileDirname}} $x$'
    root.mkdir()
    for index in range(2 * len(CLASSES)):
        Image.new('RGB', (8, 6), (index, 0, 0)).save(root / f'{index}.png')
    tags = {f'{index}.png': [CLASSES[index // 2]] for index in range(2 * len(CLASSES))}
    (tmp_path / 'tags.json').write_text(json.dumps(tags))
    return root


def test_a_config_says_what_the_table_said(photos, tmp_path):
    found = inspect_photos(photos, tmp_path / 'tags.json')
    usable, run = found.usable(False, False), Run(tmp_path / "Anna's {root} {run}")
    begin(run, found, usable, choose_settings(found.sizes.values(), 'demo'))
    for file in (run.semples_config, run.segmenter_config):
        dataset = Config.fromfile(file).train_dataloader.dataset
        assert dataset.class_names == [*CLASSES]
        assert dataset.data_prefix.img_path == str(photos)
        assert dataset.data_root == f'{file.parent}/../data'
    first = read_recipe('photos', run.folder, dict(photos=photos)).steps[0]
    assert first.command()[-1] == str(run.semples.resolve())
    shown = io.StringIO()
    show_inspection(found, plain_console(file=shown, width=150))
    assert all(name in shown.getvalue() for name in CLASSES)


@pytest.mark.parametrize('name', ['{{$HOME:x}}', '{{_base_.model}}', "{{$X:a','b}}"])
def test_a_class_that_mmengine_would_fill_in_is_refused(photos, tmp_path, name):
    (tmp_path / 'tags.json').write_text(json.dumps({'0.png': [name], '1.png': [name]}))
    with pytest.raises(Refusal, match=r'tags\.json.*0\.png.*without \{\{'):
        inspect_photos(photos, tmp_path / 'tags.json')
    folder = tmp_path / '{{$HOME:x}}'
    with pytest.raises(Refusal, match='rename the folder'):
        read_config(folder / 'config.py')


def test_pictures_and_data_yaml_have_the_names_as_they_are(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    assert picture_grid({'$\\frac$': [picture]}, rows=['$_$']).shape[2] == 3
    names = ('background', '\U0001f600 "é"', 'yes')
    write_yolo(LabelledPhotos(tmp_path, tmp_path, names, [], ()), tmp_path)
    content = yaml.safe_load((tmp_path / 'data.yaml').read_text(encoding='utf-8'))
    assert content['names'] == {0: names[1], 1: names[2]}
