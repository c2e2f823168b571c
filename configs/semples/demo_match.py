"""Stage 0 and segment-label matching on the demo world.

python tools/train.py configs/semples/demo_match.py
"""

_base_ = [
    '../_base_/datasets/demo_weak.py',
    '../_base_/models/semples_demo.py',
    '../_base_/schedules/semples.py',
    '../_base_/default_runtime.py',
]
model = dict(class_names=_base_.train_dataloader.dataset.type)
custom_imports = dict(imports=['semples_mmseg', 'semples_mmseg.demo'], allow_failed_imports=False)
# All settings that are not the paper's (method for VOC), for the report.
differs_from_paper = {
    'lambda_b': '1 (2.4)',
    'lambda_T': '0.6 (0.02)',
    'lambda': '1 (0.05)',
    'eps of masks': '1e-3 in match and refine (0.1)',
    'learning rate': '5e-3 (5.12e-4 x batch / 512); prompts 0.1 (0.1 x batch / 512)',
    'epochs': 'stage 0: 4, match 6, prompt 8, refine 6 (60 each)',
    'batch': '50, 32, 64, 32 (64, 64, 128, 64)',
    'augmentation': 'mirroring alone (DeiT augmentation)',
}
# The small world wants larger steps than the paper's; eps is absolute and CAMs are small here.
optim_wrapper = dict(optimizer=dict(lr=5e-3))
mask_eps = 1e-3  # paper: 0.1
train_cfg = dict(val_interval=100)
default_hooks = dict(logger=dict(interval=10))
stages = [
    # Stage 0 is part of the run: class tokens, head and fusion are new, the backbone is not.
    dict(
        name='classify',
        epochs=4,
        batch_size=50,
        optim_wrapper=dict(
            optimizer=dict(lr=1e-3),
            paramwise_cfg=dict(
                custom_keys={
                    'backbone.cls_token': dict(lr_mult=1.0),
                    'backbone': dict(lr_mult=0.05),
                }
            ),
        ),
    ),
    dict(name='match', epochs=6, batch_size=32, mask_eps=mask_eps),
]
