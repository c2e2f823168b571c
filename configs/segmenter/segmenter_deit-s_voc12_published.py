"""The Segmenter with the published schedule, whose last step is just above the minimum.

python tools/train.py configs/segmenter/segmenter_deit-s_voc12_published.py
"""

_base_ = ['segmenter_deit-s_voc12.py']
param_scheduler = dict(reach_minimum=False)
