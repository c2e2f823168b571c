"""Segment-label matching alone, without background prompts (table 4, first row).

python tools/train.py configs/semples/baselines/voc_match_only.py
"""

_base_ = '../voc_match.py'
