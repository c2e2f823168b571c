"""Pseudo masks of VOC 2012 by the patch affinity of DINO's ViT-S/16.

python tools/make_pseudo_masks.py configs/semples/refinements/voc_patch_affinity.py \
    work_dirs/voc_refine/refine.pth --out work_dirs/voc_patch_affinity

The weights are downloaded, unless weights='PATH' names their file.
"""

_base_ = '../voc_refine.py'
pseudo_mask_evaluator = dict(
    refine=dict(_delete_=True, type='PatchAffinity', model='vit_small_patch16_224.dino')
)
