"""SemPLeS on COCO 2014 with the published settings where they differ from the paper.

python tools/train.py configs/semples/coco_published.py
"""

_base_ = 'coco_refine.py'
# CLIP gets the images as they are normalised for the generator.
model = dict(image_head=dict(normalization='input'), losses=dict(refine=dict(weight=0.2)))
# The cosine to zero lags one epoch behind.
param_scheduler = dict(
    _delete_=True, type='WarmupCosineLR', warmup=0, eta_min=0, lag=True, by_epoch=True
)
match_pipeline = [_base_.load_image, _base_.pillow_crop, *_base_.stage_match_pipeline[2:]]
prompt_pipeline = [_base_.load_image, _base_.pillow_crop, *_base_.stage_prompt_pipeline[2:]]
train_dataloader = dict(dataset=dict(pipeline=match_pipeline))
stages = _base_.stages
stages[1].train_pipeline = prompt_pipeline
