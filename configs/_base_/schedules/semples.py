# What the three SemPLeS stages share; each stage changes what it needs (see docs/training.md).
# Learning rates are base x batch / 512. For mixed precision: tools/train.py --amp.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5.12e-4 * 64 / 512, weight_decay=0.03),
)
# A cosine to zero over the epochs of a stage, stepped once an epoch.
param_scheduler = dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True)
train_cfg = dict(type='StagedTrainLoop', val_interval=10)
val_cfg = dict()
test_cfg = dict()
custom_hooks = [dict(type='StageSwitchHook')]
