"""Table 4: prompts learned with the image term of eq. 2 alone.

python tools/train.py configs/semples/ablations/voc_image_term.py
"""

_base_ = '../voc_refine.py'
model = dict(losses=dict(prompt=dict(text_weight=0.0)))
