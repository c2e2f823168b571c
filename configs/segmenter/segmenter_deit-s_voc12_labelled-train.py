"""The "mask" figure: a retrained Segmenter's masks of the training images.

Predicts VOC 2012 train (1464 images), for each image only the classes of its image-level label, and
evaluates against SegmentationClassAug. segmenter_deit-s_voc12.py trains the model.

python tools/test.py configs/segmenter/segmenter_deit-s_voc12_labelled-train.py CHECKPOINT \\
    [--tta] [--crf] [--out FOLDER]
"""

_base_ = ['./segmenter_deit-s_voc12.py']

model = dict(test_cfg=dict(restrict_to_image_labels=True))
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='WeakVOCDataset',
        data_root=_base_.data_root,
        ann_file='ImageSets/Segmentation/train.txt',
        label_file=None,  # the XML annotations
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
        pipeline=_base_.test_pipeline,
        test_mode=True,
    )
)
# Validation during training stays as it was: its images count as unlabelled.
