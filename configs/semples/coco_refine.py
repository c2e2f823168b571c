"""All three stages of SemPLeS on COCO 2014, one after another in one run.

python tools/train.py configs/semples/coco_refine.py

The published settings, lambda 0.2 among them, are in coco_published.py.
"""

_base_ = 'coco_prompt.py'
stages = _base_.stages + [
    # The generator starts again from its stage-0 weights, with the prompts of stage (b).
    dict(
        name='refine',
        epochs=60,
        batch_size=24,
        optim_wrapper=dict(optimizer=dict(lr=5.12e-6 * 24 / 512)),
        restore=dict(mask_generator='match'),
    )
]
