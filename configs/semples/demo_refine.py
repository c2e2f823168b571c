"""Stage 0 and all three stages of SemPLeS on the demo world, one after another in one run.

python tools/train.py configs/semples/demo_refine.py
"""

_base_ = 'demo_prompt.py'
stages = _base_.stages + [
    # The generator starts again from its stage-0 weights, with the prompts of stage (b).
    dict(
        name='refine',
        epochs=6,
        batch_size=32,
        mask_eps=_base_.mask_eps,
        restore=dict(mask_generator='match'),
    )
]
