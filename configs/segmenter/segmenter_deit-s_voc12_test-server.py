"""VOC 2012 test: writes the masks in the layout that the evaluation server takes.

python tools/test.py configs/segmenter/segmenter_deit-s_voc12_test-server.py CHECKPOINT --tta

No ground truth is needed. The test images (VOC 2012's second download) go into the same folder
tree, data/VOCdevkit/VOC2012 or DATA_ROOT.
"""

_base_ = ['./segmenter_deit-s_voc12.py']

load_image = _base_.load_test_image
test_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Segmentation/test.txt',
        data_prefix=dict(_delete_=True, img_path='JPEGImages'),
        pipeline=[
            load_image,
            _base_.limit_side,
            dict(type='Resize', scale=_base_.scale, keep_ratio=True),
            dict(type='PackWeakInputs'),
        ],
    )
)
tta_pipeline = [
    load_image,
    _base_.limit_side,
    dict(
        type='TestTimeAug',
        transforms=[_base_.tta_sizes, _base_.tta_flips, [dict(type='PackWeakInputs')]],
    ),
]
test_evaluator = dict(
    _delete_=True,
    type='PredictionWriter',
    out_dir='work_dirs/voc12_test/results/VOC2012/Segmentation/comp6_test_cls',
)
