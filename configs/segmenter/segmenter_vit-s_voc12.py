"""Segmenter on ViT-S/16 of ImageNet-21k (timm's augreg weights) instead of DeiT-S.

pretrained/vit_small_patch16_224.augreg_in21k.safetensors is timm's model of that name
(model.safetensors on its hub page). All else is segmenter_deit-s_voc12.py.
"""

_base_ = ['./segmenter_deit-s_voc12.py']

model = dict(
    # these weights were trained on images scaled to -1..1
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        norm_cfg=dict(eps=1e-6),
        init_cfg=dict(
            checkpoint='weights:pretrained/vit_small_patch16_224.augreg_in21k.safetensors'
        ),
    ),
)
