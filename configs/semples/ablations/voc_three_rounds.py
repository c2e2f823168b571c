"""Table 6: three rounds of prompt learning and refinement after matching.

python tools/train.py configs/semples/ablations/voc_three_rounds.py
"""

_base_ = 'voc_two_rounds.py'
stages = _base_.stages + _base_.stages[-2:]
