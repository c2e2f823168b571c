"""The demo with MCTformer (arXiv 2203.02891) as generator."""

_base_ = '../../../configs/semples/demo_refine.py'
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='MCTformerGenerator',
        backbone=_base_.mask_generator.backbone,
    )
)
