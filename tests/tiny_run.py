"""The folder of a run on photos of one's own, made by hand, and photos to predict."""

import copy

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image
from tiny_segmenter import SMALL_WINDOWS, TINY_ENCODER, load, randomise

from semples_mmseg.datasets.transforms import set_max_side
from semples_mmseg.photos.architecture import ARCHITECTURES
from semples_mmseg.photos.run import Run

CLASSES = ('background', 'cat', 'dog', 'tvmonitor')
MAX_SIDE = 160


def picture(height, width, seed=0):
    """Smooth colours, uint8 RGB (H, W, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def make_run(folder):
    """A run whose Segmenter has random weights that tell all classes apart."""
    run = Run(folder)
    config = load('segmenter_deit-s_voc12.py', TINY_ENCODER, SMALL_WINDOWS)
    config.model.class_names = ['cat', 'dog', 'tvmonitor|tv monitor']
    content = config.to_dict()
    content['test_dataloader']['dataset']['pipeline'][2]['scale'] = (560, 70)
    set_max_side(content, MAX_SIDE)
    config = Config(content)
    run.segmenter_config.parent.mkdir(parents=True)
    config.dump(run.segmenter_config)
    kept = folder.with_name(f'{folder.name}_tiny.py')  # also when the run is gone
    config.dump(kept)
    ARCHITECTURES['tiny'] = str(kept)
    model = randomise(MODELS.build(copy.deepcopy(config.model))).eval()
    balance(model)
    run.segmenter.mkdir()
    torch.save(dict(state_dict=model.state_dict(), meta={}), run.segmenter_weights)
    return run


@torch.no_grad()
def balance(model):
    """Set the last biases so that all classes are predicted."""
    pixels = torch.from_numpy(picture(128, 128)).permute(2, 0, 1)[None].float()
    logits = model.decode_head.forward(model.extract_feat((pixels - 120) / 57))
    mean = logits.mean((0, 2, 3), keepdim=True)
    spread = (logits - mean).std()
    model.decode_head.mask_norm.weight /= spread
    model.decode_head.mask_norm.bias -= mean.flatten() / spread
