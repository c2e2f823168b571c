"""Stage 0, matching, then contrastive prompt learning on the demo world.

python tools/train.py configs/semples/demo_prompt.py
"""

_base_ = 'demo_match.py'
stages = _base_.stages + [
    dict(
        name='prompt',
        epochs=8,
        batch_size=64,
        optim_wrapper=dict(optimizer=dict(lr=0.1)),  # paper: 0.1 x batch / 512
    )
]
