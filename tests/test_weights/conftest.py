"""The config of a run that takes seconds, for tools that load checkpoints."""

import copy
import json

import pytest
from mmengine.config import Config
from tiny import TINY_SEMPLES

LABELS = {f'img{n}': [name] for n, name in enumerate(['cat', 'dog'] * 2)}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """The tools set these variables for their process."""
    for name in ('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


@pytest.fixture
def make_config(make_voc_tree, tmp_path, monkeypatch):
    """Return a function that writes the config of a small run."""
    # formatting the config takes longer than all else
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: ''))
    root = str(make_voc_tree(LABELS))

    def make(**changes):
        dataset = dict(
            type='WeakVOCDataset',
            data_root=root,
            data_prefix=dict(img_path='JPEGImages'),
            ann_file='ImageSets/Segmentation/train.txt',
            metainfo=dict(classes=('background', 'cat', 'dog', 'tvmonitor'), palette=[[0] * 3] * 4),
        )
        sampler = dict(type='DefaultSampler', shuffle=False)
        loader = dict(batch_size=2, num_workers=0, sampler=sampler)
        load = dict(type='LoadImageFromFile')
        train = [load, dict(type='mmpretrain.RandomResizedCrop', scale=64)]
        tested = dict(
            loader,
            batch_size=1,
            dataset=dict(
                dataset,
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
                test_mode=True,
                pipeline=[load, dict(type='PackWeakInputs')],
            ),
        )
        config = Config(
            dict(
                custom_imports=dict(imports=['semples_mmseg']),
                default_scope='mmseg',
                work_dir=str(tmp_path / 'run'),
                model=copy.deepcopy(TINY_SEMPLES),
                train_dataloader=dict(
                    loader, dataset=dict(dataset, pipeline=[*train, dict(type='PackWeakInputs')])
                ),
                train_cfg=dict(type='StagedTrainLoop'),
                optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
                custom_hooks=[dict(type='StageSwitchHook')],
                stages=[dict(name='match', epochs=1)],
                test_dataloader=tested,
                test_cfg=dict(),
                test_evaluator=dict(type='CAMMetric'),
                pseudo_mask_dataloader=tested,
                pseudo_mask_evaluator=dict(background_score=0.4),
                log_level='WARNING',
            )
        )
        config.merge_from_dict(changes)
        (tmp_path / 'config.json').write_text(json.dumps(config.to_dict()))
        return tmp_path / 'config.json'

    return make
