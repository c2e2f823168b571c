# Stage 0 (WeakTr): learning rate 6e-4 (VOC) x batch / 512, stepped once an epoch: five epochs of
# linear warm-up from 1e-6, then a cosine that is not shifted by the warm-up.
lr = 6e-4 * 64 / 512
epochs = 60
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=lr, weight_decay=0.03)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / lr, by_epoch=True, begin=0, end=5),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5, T_max=epochs, end=epochs),
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=10)
val_cfg = dict()
test_cfg = dict()
