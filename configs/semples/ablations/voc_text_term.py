"""Table 4: prompts learned with the text term of eq. 2 alone.

python tools/train.py configs/semples/ablations/voc_text_term.py
"""

_base_ = '../voc_refine.py'
model = dict(losses=dict(prompt=dict(image_weight=0.0)))
