"""Multi-scale test and label restriction against computations written out here."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from PIL import Image
from tiny_segmenter import (
    SIDES,
    SMALL_VIEWS,
    SMALL_WINDOWS,
    STRIDE,
    TINY_ENCODER,
    WINDOW,
    data_at,
    load,
    randomise,
)

from semples_mmseg.utils.errors import RunError
from semples_mmseg.utils.sizes import enlarged_size

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def starts(length):
    """Where windows begin; the last one is flush with the end."""
    return [*range(0, length - WINDOW, STRIDE), length - WINDOW]


def direct_view(model, path, side, flip):
    """Probabilities (C, H, W) of one view, step by step as section 3.3 and its settings say."""
    image = np.array(Image.open(path))
    height, width = image.shape[:2]
    factor = min(side / min(height, width), 8 * side / max(height, width))
    size = int(width * factor + 0.5), int(height * factor + 0.5)
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    x = (torch.tensor(image).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    x = x.permute(2, 0, 1)[None]
    if flip:
        x = x.flip(-1)
    short = min(x.shape[-2:])
    if short < WINDOW:
        enlarged = [int(length * WINDOW / short) for length in x.shape[-2:]]
        x = F.interpolate(x, enlarged, mode='bilinear', align_corners=False)
    total = torch.zeros(1, 21, *x.shape[-2:])
    count = torch.zeros(1, 1, *x.shape[-2:])
    for top in starts(x.shape[-2]):
        for left in starts(x.shape[-1]):
            where = (..., slice(top, top + WINDOW), slice(left, left + WINDOW))
            logits = model.decode_head(model.backbone(x[where]))
            total[where] += F.interpolate(logits, (WINDOW, WINDOW), mode='bilinear')
            count[where] += 1
    logits = total / count
    if flip:
        logits = logits.flip(-1)
    return F.interpolate(logits, (height, width), mode='bilinear')[0].softmax(0)


def build(name, root, *changes):
    config = load(
        name, TINY_ENCODER, SMALL_WINDOWS, SMALL_VIEWS, data_at('test', root, 'train.txt'), *changes
    )
    model = MODELS.build(dict(config.tta_model, module=config.model))
    randomise(model.module)
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    return model.eval(), DATASETS.build(config.test_dataloader.dataset)


@pytest.mark.parametrize('size', [(37, 61), (91, 41), (70, 71)])
def test_multi_scale_equals_the_direct_computation(make_voc_tree, size):
    root = make_voc_tree({'2007_000001': ['cat']}, size)
    model, data = build('segmenter_deit-s_voc12.py', root)
    with torch.no_grad():
        (result,) = model.test_step(pseudo_collate([data[0]]))
        views = [
            direct_view(model.module, root / 'JPEGImages/2007_000001.jpg', side, flip)
            for side in SIDES
            for flip in (False, True)
        ]
    expected = torch.stack(views).mean(0)
    assert result.seg_logits.data.shape == (21, *size)
    torch.testing.assert_close(result.seg_logits.data.exp(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(result.pred_sem_seg.data[0], expected.argmax(0))
    assert result.gt_sem_seg.shape == size
    # the views differ, so their mean is no view's own
    assert all((expected - view).abs().max() > 1e-3 for view in views)


@pytest.mark.parametrize(
    ('size', 'enlarged'),
    [
        ((480, 640), (480, 640)),
        ((260, 347), (480, 640)),  # int(640.6)
        ((347, 260), (640, 480)),
        ((479, 479), (480, 480)),
        ((100, 900), (480, 4320)),
        ((20, 2000), (20, 2000)),  # a strip is padded
        ((1, 1), (480, 480)),
    ],
)
def test_enlarged_size(size, enlarged):
    assert enlarged_size(size, (480, 480)) == enlarged
    assert enlarged_size((50, 40), (60, 80)) == (100, 80)  # an oblong window


def test_strips_are_padded_to_a_window(make_voc_tree):
    model, _ = build('segmenter_deit-s_voc12.py', make_voc_tree({'2007_000001': ['cat']}))
    model, image = model.module, torch.randn(1, 3, 4, 50)
    with torch.no_grad():
        logits = model.slide_inference(image, [dict()])
        padded = F.pad(image, (0, WINDOW - 50, 0, WINDOW - 4))
        expected = model.decode_head(model.backbone(padded))
    expected = F.interpolate(expected, (WINDOW, WINDOW), mode='bilinear')[..., :4, :50]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        assert model.slide_inference(torch.randn(1, 3, 20, 2000), [dict()]).shape[-2:] == (20, 2000)
    with pytest.raises(ValueError, match='padding'):
        model.slide_inference(torch.zeros(1, 3, 40, 50), [dict(img_padding_size=[0, 4, 0, 0])])


def test_images_of_a_batch_may_differ_in_size(make_voc_tree):
    model, _ = build('segmenter_deit-s_voc12.py', make_voc_tree({'2007_000001': ['cat']}))
    data = []
    for size in ((91, 61), (70, 71), (70, 71)):
        meta = dict(ori_shape=size, img_shape=size)
        image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
        data.append(dict(inputs=image, data_samples=SegDataSample(metainfo=meta)))
    with torch.no_grad():
        together = model.module.test_step(pseudo_collate(data))
        apart = [model.module.test_step(pseudo_collate([item]))[0] for item in data]
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
    data[1]['data_samples'].set_metainfo(dict(img_path='b/second.jpg'))
    next(model.module.decode_head.parameters()).data.fill_(torch.nan)
    with torch.no_grad(), pytest.raises(RunError, match='b/second.jpg: .* not a number'):
        model.module.test_step(pseudo_collate(data[1:2]))


@pytest.mark.parametrize('views', ['one', 'many'])
def test_labelled_images_show_their_classes_alone(make_voc_tree, views):
    root = make_voc_tree({'2007_000001': ['cat', 'dog'], '2007_000002': ['sofa']}, (45, 66))
    changes = dict(data_at('test', root, 'train.txt'))
    changes |= {
        'test_dataloader.dataset.data_root': str(root),
        'test_dataloader.dataset.label_file': 'labels.json',
    }
    model, data = build('segmenter_deit-s_voc12_labelled-train.py', root, changes)
    if views == 'one':
        model = model.module
        data.set_pipeline(
            load(
                'segmenter_deit-s_voc12_labelled-train.py', SMALL_VIEWS
            ).test_dataloader.dataset.pipeline
        )
    allowed = [[0, 8, 12], [0, 18]]
    for index, classes in enumerate(allowed):
        with torch.no_grad():
            (result,) = model.test_step(pseudo_collate([data[index]]))
        logits = result.seg_logits.data
        absent = [k for k in range(21) if k not in classes]
        assert (logits[absent] == -torch.inf).all() and logits[classes].isfinite().all()
        expected = torch.tensor(classes)[logits[classes].argmax(0)]
        torch.testing.assert_close(result.pred_sem_seg.data[0], expected)


def test_restriction_says_what_is_missing(make_voc_tree):
    root = make_voc_tree({'2007_000001': ['cat']})
    restricted = {'model.test_cfg.restrict_to_image_labels': True}
    model, data = build('segmenter_deit-s_voc12.py', root, restricted)
    sample = SegDataSample(metainfo=dict(ori_shape=(8, 8)))
    with pytest.raises(ValueError, match='image-level labels'):
        model.module.postprocess_result(torch.zeros(1, 21, 8, 8), [sample])
    sample.image_labels = torch.ones(80)
    with pytest.raises(ValueError, match='80 object classes'):
        model.module.postprocess_result(torch.zeros(1, 21, 8, 8), [sample])
