"""CLIP's own class activation maps on VOC 2012, trained by nothing.

python tools/make_pseudo_masks.py configs/semples/baselines/voc_clip_attention.py none \
    --out work_dirs/voc_clip_attention
"""

_base_ = '../../weaktr/weaktr_deit-s_voc12.py'
model = dict(
    mask_generator=dict(
        _delete_=True,
        type='CLIPAttentionGenerator',
        clip=dict(model='ViT-B-16', pretrained='openai'),
    )
)
