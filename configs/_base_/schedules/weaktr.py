# Stage 0 (WeakTr): learning rate 6e-4 (VOC) x batch / 512, stepped once an epoch: five epochs of
# linear warm-up from 1e-6, then a cosine that is not shifted by the warm-up. The published runs are one
# epoch late: lag=True.
lr = 6e-4 * 64 / 512
epochs = 60
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=lr, weight_decay=0.03)
)
param_scheduler = dict(type='WarmupCosineLR', by_epoch=True)
custom_hooks = [dict(type='StageSwitchHook')]
stages = [dict(name='classify', epochs=epochs, batch_size=64)]
train_cfg = dict(type='StagedTrainLoop', val_interval=10)
val_cfg = dict()
test_cfg = dict()
