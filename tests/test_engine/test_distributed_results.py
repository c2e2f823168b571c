"""Evaluation and pseudo masks of two processes are those of one, for an odd number of images."""

import json

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from processes import draw_images, launch, tool, write_config


@pytest.fixture
def model(tmp_path):
    """Return the paths of a config, and of weights whose CAMs vary."""
    draw_images(tmp_path / 'data', 5)
    config = write_config(tmp_path / 'runs', tmp_path / 'data', [dict(name='match', epochs=1)])
    torch.manual_seed(9)
    built = MODELS.build(Config.fromfile(config).model)
    torch.nn.init.normal_(built.mask_generator.head.weight)
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'weights.pth')
    return config, tmp_path / 'weights.pth'


def test_two_processes_find_what_one_finds(model, tmp_path):
    for number in (1, 2):
        out = tmp_path / f'by{number}'
        # a job each: a tool ends the group of its processes
        launch(number, tool, 'test.py', *model, '--metrics', out / 'metrics.json')
        masks = ('--out', out / 'masks', '--refine', 'none')
        launch(number, tool, 'make_pseudo_masks.py', *model, *masks)
    one, two = (json.loads((tmp_path / f'by{n}/metrics.json').read_text()) for n in (1, 2))
    assert one == two
    assert {'seed_mIoU', 'mIoU', 'iou/mIoU', 'mAP_fine'} <= set(one)
    masks = sorted(path.name for path in (tmp_path / 'by1/masks').glob('[!.]*'))
    assert len(masks) == 7  # with the record and the classes
    assert masks == sorted(path.name for path in (tmp_path / 'by2/masks').glob('[!.]*'))
    pixels = set()
    for name in set(masks) - {'record.json'}:  # it has the times of files
        pixels.add((tmp_path / 'by1/masks' / name).read_bytes())
        assert (tmp_path / 'by2/masks' / name).read_bytes() in pixels
