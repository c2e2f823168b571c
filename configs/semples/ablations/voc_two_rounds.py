"""Table 6: two rounds of prompt learning and refinement after matching.

python tools/train.py configs/semples/ablations/voc_two_rounds.py

The second round goes on learning the prompts of the first, on the generator that the
first has refined; each refinement starts from the stage-0 weights (docs/paper.md).
"""

_base_ = '../voc_refine.py'
stages = _base_.stages + _base_.stages[-2:]
