"""Photos, and a run on photos of one's own whose weights are random."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from semples_mmseg.photos.confidence import write_confidence
from semples_mmseg.photos.fit import begin
from semples_mmseg.photos.inspection import inspect_photos
from semples_mmseg.photos.onnx_export import check_packages
from semples_mmseg.photos.run import Run
from semples_mmseg.photos.settings import choose_settings
from semples_mmseg.utils.errors import MissingPackage
from semples_mmseg.utils.label_png import write_mask
from semples_mmseg.utils.record import Record


@pytest.fixture(scope='module')
def explored(tmp_path_factory):
    """As ``fit`` leaves it, without the model; a photo has a name that is HTML."""
    root = tmp_path_factory.mktemp('explore')
    rng = np.random.default_rng(0)
    for name in ('cup/1.png', 'cup/<b>&2.png', 'key/3.png', 'key/4.png'):
        (root / 'photos' / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((64, 48)).save(root / 'photos' / name)
    found = inspect_photos(root / 'photos', None)
    usable, run = found.usable(False, False), Run(root / 'run')
    begin(run, found, usable, choose_settings(found.sizes.values(), 'demo'))
    config = Config.fromfile(run.semples_config)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    run.semples.mkdir()
    for stage in ('classify', 'match', 'refine'):
        torch.save(dict(state_dict=model.state_dict()), run.stage_file(stage))
    for name, tags in run.labels().items():
        own = 1 + run.class_names().index(tags[0])
        write_mask(run.masks / f'{name}.png', rng.integers(0, 2, (48, 64)) * own)
        write_mask(run.predictions / f'{name}.png', rng.integers(0, 2, (48, 64)) * own)
    write_confidence(run)
    Record(run.masks).begin('masks', dict(background_score=0.4), {})
    return run


@pytest.fixture(scope='session')
def no_onnx():
    """Why no ONNX file can be written here; empty where it can."""
    try:
        check_packages()
    except MissingPackage as error:
        return str(error)
    return ''


@pytest.fixture
def four_photos(tmp_path):
    """Four photos in two folders, and what is none."""
    root = tmp_path / 'photos'
    for name in ('a.jpg', 'b.PNG', 'far/c d.jpg', 'far/ä.jpeg'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 6)).save(root / name)
    (root / '._a.jpg').write_bytes(b'of a file system')
    (root / 'notes.txt').write_text('no photo')
    return root
