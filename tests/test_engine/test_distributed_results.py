"""Evaluation and pseudo masks of two processes are those of one, for an odd number of images."""

import json

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from processes import draw_images, launch, tool, write_config


def test_two_processes_find_what_one_finds(tmp_path, monkeypatch):
    draw_images(tmp_path / 'data', 5)
    config = write_config(tmp_path / 'runs', tmp_path / 'data', [dict(name='match', epochs=1)])
    torch.manual_seed(9)
    built = MODELS.build(Config.fromfile(config).model)
    torch.nn.init.normal_(built.mask_generator.head.weight)  # CAMs vary
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'weights.pth')
    model, outs = (config, tmp_path / 'weights.pth'), (tmp_path / 'one', tmp_path / 'two')
    monkeypatch.setenv('WORLD_SIZE', '1')
    monkeypatch.chdir(tmp_path)
    for out, run in zip(outs, (lambda *call: call[0](*call[1:]), two), strict=True):
        run(tool, 'test.py', *model, '--metrics', out / 'metrics.json')
        run(tool, 'make_pseudo_masks.py', *model, '--out', out / 'masks', '--refine', 'none')
    one, other = (json.loads((out / 'metrics.json').read_text()) for out in outs)
    assert one == other
    assert {'seed_mIoU', 'mIoU', 'iou/mIoU', 'mAP_fine'} <= set(one)
    masks, others = (
        {
            path.name: path.read_bytes()
            for path in (out / 'masks').glob('[!.]*')
            if path.name != 'record.json'  # it has the times of files
        }
        for out in outs
    )
    assert masks == others and len(masks) == 6  # with the classes


def two(*call):
    """Two processes; a job for each tool, which ends the group of its processes."""
    launch(2, *call)
