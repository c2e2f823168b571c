# SGD of the Segmenter: from 1e-4 to 1e-5 (head) and from 1e-5 to 1e-6 (encoder), stepped every
# iteration.
epochs = 100
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=1e-4, momentum=0.9, nesterov=True, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}),
)
param_scheduler = dict(
    type='PolyRatioLR',
    power=0.9,
    eta_min_ratio=0.1,
    reach_minimum=False,
    begin=0,
    end=epochs,
    by_epoch=True,
    convert_to_iter_based=True,
)
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=10)
val_cfg = dict()
test_cfg = dict()
