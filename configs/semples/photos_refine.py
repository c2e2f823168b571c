"""Stage 0 and all three stages on photos of your own, from ImageNet's DeiT-S and CLIP.

python tools/dataset_converters/tags.py PHOTOS --tags TABLE --out data/photos
python tools/train.py configs/semples/photos_refine.py

semples-mmseg fit writes a config with this one as its base: its data, classes and lengths.
"""

_base_ = ['voc_refine.py', '../_base_/schedules/stage_0.py']
dataset = dict(
    _delete_=True,
    type='WeakLabelDataset',
    data_root='{{$DATA_ROOT:data/photos}}',
    ann_file='list.txt',
    label_file='labels.json',
    class_names=['first class', 'second class'],
    data_prefix=dict(img_path='images'),
)
cams = dict(type='PackWeakInputs', scales=_base_.scales)
test_pipeline = [_base_.load_test_image, _base_.limit_side, cams]
# The smallest crops, of 8 % of the pixels, become 224. With SeedEachImage loader processes stay.
load_photo = [dict(type='SeedEachImage'), dict(_base_.load_image, least_side=900)]
train_pipeline = [*load_photo, *_base_.stage_match_pipeline[1:]]
train_dataloader = dict(dataset=dict(**dataset, pipeline=train_pipeline))
pseudo_mask_dataloader = dict(
    dataset=dict(**dataset, pipeline=[_base_.load_image, _base_.limit_side, cams], test_mode=True)
)
test_dataloader = dict(dataset=dict(**dataset, pipeline=test_pipeline, test_mode=True))
# There are no masks to validate by.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_evaluator = dict(_delete_=True, type='PredictionMetric')
pseudo_mask_evaluator = dict(background_score='auto')
model = dict(
    class_names=dataset['class_names'],
    mask_generator=dict(
        init_cfg=None,
        backbone=dict(
            init_cfg=dict(type='Pretrained', checkpoint='timm:deit_small_patch16_224.fb_in1k')
        ),
    ),
)
prompt = dict(train_pipeline=[*load_photo, *_base_.stage_prompt_pipeline[1:]])
stages = [_base_.stage_0] + [
    dict(stage, **(prompt if stage['name'] == 'prompt' else {})) for stage in _base_.stages
]
