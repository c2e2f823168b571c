"""All three stages of SemPLeS on VOC 2012, one after another in one run.

python tools/train.py configs/semples/voc_refine.py
"""

_base_ = 'voc_prompt.py'
stages = _base_.stages + [
    # The generator starts again from its stage-0 weights, with the prompts of stage (b).
    dict(name='refine', epochs=60, batch_size=64, restore=dict(mask_generator='match'))
]
