"""Stage 0 on VOC 2012 with the published schedule, which lags one epoch behind.

python tools/train.py configs/weaktr/weaktr_deit-s_voc12_published.py
"""

_base_ = 'weaktr_deit-s_voc12.py'
param_scheduler = dict(lag=True)
match_pipeline = [_base_.load_image, _base_.pillow_crop, *_base_.stage_match_pipeline[2:]]
train_dataloader = dict(dataset=dict(pipeline=match_pipeline))
