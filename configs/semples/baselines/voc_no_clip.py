"""The mask generator without CLIP: stage 0 alone, which is WeakTr.

python tools/train.py configs/semples/baselines/voc_no_clip.py
"""

_base_ = '../../weaktr/weaktr_deit-s_voc12.py'
