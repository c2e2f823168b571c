"""Photos together give what each gives alone, through every way that MMSeg has to predict."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model
from mmseg.registry import MODELS
from PIL import Image

SIZES = ((64, 64), (50, 70), (64, 64), (48, 64), (33, 90))
SCALES = (1.0, 1.2, 0.8)


@pytest.fixture
def photos(tmp_path):
    """Five photos, in blocks of colours; two have one size."""
    rng = np.random.default_rng(0)
    paths = []
    for index, size in enumerate(SIZES):
        blocks = rng.integers(0, 256, (5, 5, 3), np.uint8)
        paths.append(str(tmp_path / f'{index}.png'))
        Image.fromarray(blocks).resize(size[::-1]).save(paths[-1])
    return paths


def config_of(model, scales):
    pipeline = [
        dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='PackWeakInputs', scales=scales),
    ]
    loader = dict(num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    config = dict(
        model=model,
        test_pipeline=pipeline,
        test_dataloader=dict(loader, dataset=dict(pipeline=pipeline)),
        visualizer=dict(type='SegLocalVisualizer'),
    )
    return Config(config)


@pytest.mark.parametrize('scales', [SCALES[:1], SCALES[:2], SCALES])
def test_photos_together_are_as_photos_alone(tiny_semples, photos, scales):
    torch.manual_seed(1)
    model = MODELS.build(copy.deepcopy(tiny_semples)).eval()
    torch.nn.init.normal_(model.mask_generator.head.weight)
    torch.nn.init.constant_(model.mask_generator.head.bias, 5)  # all classes are found
    config = config_of(tiny_semples, scales)
    inferencer = MMSegInferencer(config, device='cpu')
    inferencer.model = model
    model.cfg = config_of(tiny_semples, scales[:1])
    first = inference_model(model, photos[0])
    model.cfg = config
    alone = [inference_model(model, photo) for photo in photos]
    # every scale has its part
    same = torch.allclose(first.cams.data, alone[0].cams.data, atol=1e-3)
    assert same == (len(scales) == 1) and len(alone[0].pred_sem_seg.data.unique()) > 1

    arrays = [np.array(Image.open(photo))[:, :, ::-1] for photo in photos]
    for number in (1, 2, 3, 5):
        dataset = [inferencer.pipeline(photo) for photo in photos[:number]]
        loader = dict(config.test_dataloader, dataset=dataset, batch_size=number)
        model.cfg = copy.deepcopy(config)  # the call with arrays changes it
        ways = dict(
            paths=inference_model(model, photos[:number]),
            inferencer=inferencer(photos[:number], batch_size=number, return_datasamples=True),
            test=[s for batch in Runner.build_dataloader(loader) for s in model.test_step(batch)],
            arrays=inference_model(model, arrays[:number]),
        )
        for way, together in ways.items():
            together = together if isinstance(together, list) else [together]
            assert len(together) == number, way
            for found, expected in zip(together, alone, strict=False):
                torch.testing.assert_close(
                    found.cams.data, expected.cams.data, rtol=1e-4, atol=1e-4
                )
                agreement = found.pred_sem_seg.data == expected.pred_sem_seg.data
                assert agreement.float().mean() > 0.999, way
