"""Jobs of several processes on the CPU, under the agent that torchrun runs."""

import copy
import json
import multiprocessing
import os
import signal
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from PIL import Image
from run_tool import run_tool
from tiny import TINY_SEMPLES
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

CLASSES = ('background', 'cat', 'dog', 'tvmonitor')


@HOOKS.register_module(force=True)
class Recorder(Hook):
    """Every process writes down its steps: number, pairs it had, losses as they are logged."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        pairs = sum(int(sample.image_labels.sum()) for sample in data_batch['data_samples'])
        losses = {name: float(value) for name, value in outputs.items()}
        with open(Path(runner.work_dir) / f'steps{get_rank()}.jsonl', 'a') as file:
            file.write(json.dumps(dict(step=runner.iter, pairs=pairs, losses=losses)) + '\n')


@HOOKS.register_module(force=True)
class Killer(Hook):
    """Kills one process at each of some steps, the first time it comes there."""

    def __init__(self, rank, steps):
        self.rank, self.steps = rank, steps

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        done = Path(runner.work_dir) / f'killed{runner.iter}'
        if get_rank() == self.rank and runner.iter in self.steps and not done.exists():
            done.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def draw_images(root, number, shown=None):
    """Random images, masks and labels; by default more than half of the images show nothing."""
    rng = np.random.default_rng(0)
    labels = {}
    for folder in ('images', 'masks'):
        (root / folder).mkdir(parents=True)
    for index in range(number):
        name = f'img{index:02}'
        present = [] if rng.random() < 0.6 else sorted({*rng.integers(1, 4, 2).tolist()})
        present = shown[index] if shown else present
        labels[name] = [CLASSES[label] for label in present]
        Image.fromarray(rng.integers(0, 256, (48, 56, 3), np.uint8)).save(
            root / f'images/{name}.png'
        )
        mask = np.zeros((48, 56), np.uint8)
        for row, label in enumerate(present):
            mask[10 * row : 10 * row + 8, 5:30] = label
        Image.fromarray(mask).save(root / f'masks/{name}.png')
    (root / 'labels.json').write_text(json.dumps(labels))
    (root / 'list.txt').write_text('\n'.join(labels))


def write_config(folder, data, *arguments, **changes):
    """Write what ``make_config`` makes; return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    make_config(data, *arguments, **changes).dump(folder / 'config.py')
    return folder / 'config.py'


def make_config(data, stages, hooks=(), **changes):
    """The config of a staged run without anything random."""
    dataset = dict(
        type='WeakLabelDataset',
        data_root=str(data),
        ann_file='list.txt',
        label_file='labels.json',
        img_suffix='.png',
        metainfo=dict(classes=CLASSES, palette=[[40 * n] * 3 for n in range(4)]),
        skip_unlabelled=False,
    )
    load = dict(type='LoadImageFromFile')

    def loader(*pipeline, shuffle=False, masks=False, **options):
        prefix = dict(img_path='images', **(dict(seg_map_path='masks') if masks else {}))
        return dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            dataset=dict(dataset, data_prefix=prefix, pipeline=[load, *pipeline], **options),
        )

    two_scales = dict(type='PackWeakInputs', scales=(1.0, 1.2))
    config = Config(
        dict(
            custom_imports=dict(imports=['semples_mmseg', 'processes']),
            default_scope='mmseg',
            model=copy.deepcopy(TINY_SEMPLES),
            train_dataloader=dict(
                loader(
                    dict(type='mmpretrain.Resize', scale=(64, 64)),
                    dict(type='PackWeakInputs'),
                    shuffle=True,
                ),
                drop_last=True,
            ),
            train_cfg=dict(type='StagedTrainLoop'),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.03)),
            param_scheduler=dict(type='CosineAnnealingLR', eta_min=0),
            test_dataloader=loader(
                dict(type='LoadAnnotations'), two_scales, masks=True, test_mode=True
            ),
            test_cfg=dict(),
            test_evaluator=[
                dict(type='CAMMetric', background_score=0.5),
                dict(type='IoUMetric', iou_metrics=['mIoU'], prefix='iou'),
                dict(type='PredictionMetric'),
            ],
            pseudo_mask_dataloader=loader(two_scales, test_mode=True),
            pseudo_mask_evaluator=dict(background_score=0.5),
            stages=stages,
            custom_hooks=[dict(type='StageSwitchHook'), dict(type='Recorder'), *hooks],
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1),
                epoch_seed=dict(type='EpochSeedHook'),
            ),
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=600)),
            randomness=dict(seed=9),  # cosines far from the clamp: gradients flow
            log_level='WARNING',
        )
    )
    config.merge_from_dict(changes)
    return config


def launch(number, function, *arguments, restarts=0):
    """Call a function in several processes as torchrun does; return what each returned.

    They are forked from a process that has imported the package and done nothing else.
    """
    on_cpu = get_device() == 'cpu'
    if on_cpu:
        multiprocessing.set_forkserver_preload(['semples_mmseg'])
    job = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=number,
        run_id='test',
        rdzv_backend='c10d',
        rdzv_endpoint='localhost:0',
        local_addr='127.0.0.1',
        max_restarts=restarts,
        start_method='forkserver' if on_cpu else 'spawn',
    )
    with mock.patch.dict(os.environ, CUDA_VISIBLE_DEVICES=''):
        return elastic_launch(job, _call)(function, *arguments)


def _call(function, *arguments):
    torch.set_num_threads(1)
    return function(*arguments)


def tool(name, config, *options):
    """Run a tool in one of the processes; a single one runs it without a launcher.

    Files without a name of their own go to the folder ``run`` beside the config.
    """
    run = Path(config).parent / 'run'
    run.mkdir(exist_ok=True)
    os.chdir(run)
    launcher = 'none' if os.environ['WORLD_SIZE'] == '1' else 'pytorch'
    run_tool(name, config, *options, '--launcher', launcher, '--work-dir', run)


def weights(path):
    """The tensors of a checkpoint that a stage has left."""
    return torch.load(path, weights_only=True)['state_dict']


def steps(run, rank=0):
    """The steps that a process of a run has recorded."""
    lines = (run / f'steps{rank}.jsonl').read_text().splitlines()
    return [json.loads(line) for line in lines]
