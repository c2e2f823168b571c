"""Table 6: equations 1 to 3 at once, from the stage-0 generator and random prompts.

python tools/train.py configs/semples/ablations/voc_joint.py
"""

_base_ = '../voc_match.py'
stages = [
    dict(
        name='joint',
        epochs=60,
        batch_size=64,
        # Prompts keep their own rate, 0.1 x batch / 512, beside the generator's 5.12e-4.
        optim_wrapper=dict(
            paramwise_cfg=dict(custom_keys=dict(prompt_learner=dict(lr_mult=0.1 / 5.12e-4)))
        ),
    )
]
