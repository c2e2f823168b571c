"""Matching, then contrastive prompt learning on COCO 2014, stages (a) and (b).

python tools/train.py configs/semples/coco_prompt.py
"""

_base_ = 'coco_match.py'
stages = _base_.stages + [
    dict(
        name='prompt',
        epochs=60,
        batch_size=128,
        optim_wrapper=dict(optimizer=dict(lr=0.01 * 128 / 512)),
        train_pipeline=_base_.stage_prompt_pipeline,
    )
]
