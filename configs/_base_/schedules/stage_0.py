# Stage 0 as the first of a run's stages, for generators that start from an ImageNet backbone. The
# schedule is WeakTr's for VOC.
stage_0 = dict(
    name='classify',
    epochs=60,
    batch_size=64,
    optim_wrapper=dict(optimizer=dict(lr=6e-4 * 64 / 512)),
    param_scheduler=dict(type='WarmupCosineLR', by_epoch=True),
)
