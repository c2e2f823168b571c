"""Fixtures shared by all tests: MMSeg's scope, tiny configs, tiny data sets in VOC's layout."""

import copy
import gc
import json
import os
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.datasets import PascalVOCDataset
from mmseg.structures import SegDataSample
from PIL import Image
from run_tool import run_tool
from tiny import TINY_CLIP, TINY_GENERATOR, TINY_SEMPLES
from yapf.yapflib import yapf_api

import semples_mmseg.demo  # noqa: F401
from semples_mmseg.photos import model_out
from semples_mmseg.runs import steps
from semples_mmseg.utils import parallel

VOC_CLASSES = PascalVOCDataset.METAINFO['classes']


def pytest_configure(config):
    """One thread: more are no faster for tiny models, and those of several processes wait for
    each other by spinning."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # of the processes that tests start
    torch.set_num_threads(1)
    # A run formats the text of its config, which takes longer than most tests.
    yapf_api.FormatCode = lambda text, **_: (text, True)
    gc.freeze()  # MMEngine's data sets collect garbage, among all that was imported
    model_out.PREPARES = False
    parallel._METHOD = 'fork'  # of this process, which has imported everything already


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Look types up as a run with ``default_scope = 'mmseg'`` does."""
    init_default_scope('mmseg')


@pytest.fixture
def steps_in_process(monkeypatch):
    """The steps of pipelines run in this process: a new one takes seconds to import torch."""

    def run(command, log, append, show):
        _, tool, *arguments = command
        with (
            open(log, 'a' if append else 'w', encoding='utf-8') as output,
            redirect_stdout(output),
            redirect_stderr(output),
        ):
            code = run_tool(tool, *arguments)
        show(log.read_text(encoding='utf-8'))
        return code

    monkeypatch.setattr(steps, '_run', run)


@pytest.fixture
def make_voc_tree(tmp_path):
    """Return a function that draws random images and masks in the layout of VOC2012."""

    def make(labels, size=(40, 60)):
        rng = np.random.default_rng(0)
        root = tmp_path / 'VOCdevkit' / 'VOC2012'
        folders = ('JPEGImages', 'SegmentationClassAug', 'Annotations', 'ImageSets/Segmentation')
        for folder in folders:
            (root / folder).mkdir(parents=True)
        palette = np.array(PascalVOCDataset.METAINFO['palette'], np.uint8).tobytes()
        for img_id, names in labels.items():
            img = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(img).save(root / f'JPEGImages/{img_id}.jpg', quality=95)
            mask = np.zeros(size, np.uint8)
            for n, name in enumerate(names):
                mask[n * 10 : n * 10 + 8, 5:20] = VOC_CLASSES.index(name)
            mask[-2:] = 255
            png = Image.fromarray(mask, mode='P')
            png.putpalette(palette)
            png.save(root / f'SegmentationClassAug/{img_id}.png')
            objects = ''.join(
                f'<object><name>{name}</name><part><name>head</name></part></object>'
                for name in names
            )
            (root / f'Annotations/{img_id}.xml').write_text(f'<annotation>{objects}</annotation>')
        (root / 'ImageSets/Segmentation/train.txt').write_text('\n'.join(labels) + '\n')
        (root / 'labels.json').write_text(json.dumps({i: list(n) for i, n in labels.items()}))
        return root

    return make


@pytest.fixture(autouse=True)
def fixed_seed():
    """Give every test the same random numbers, whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def tiny_clip():
    """An open_clip config of a CLIP with a small vision transformer."""
    return copy.deepcopy(TINY_CLIP)


@pytest.fixture
def tiny_generator():
    """Config of a WeakTr generator for three classes."""
    return copy.deepcopy(TINY_GENERATOR)


@pytest.fixture
def tiny_semples():
    """Config of a whole SemPLeS segmentor for three classes."""
    return copy.deepcopy(TINY_SEMPLES)


@pytest.fixture
def make_samples():
    """Return a function from rows of labels to data samples."""

    def make(*labels, size=(64, 64)):
        samples = []
        for row in labels:
            sample = SegDataSample(metainfo=dict(ori_shape=size))
            sample.image_labels = torch.tensor(row, dtype=torch.float32)
            samples.append(sample)
        return samples

    return make
