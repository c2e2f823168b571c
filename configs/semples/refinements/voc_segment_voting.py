"""Pseudo masks of VOC 2012 on which segments vote, one PNG of segment ids for each photo.

python tools/make_pseudo_masks.py configs/semples/refinements/voc_segment_voting.py \
    work_dirs/voc_refine/refine.pth --out work_dirs/voc_segment_voting
"""

_base_ = '../voc_refine.py'
pseudo_mask_evaluator = dict(
    refine=dict(_delete_=True, type='SegmentVoting', folder='data/voc12_segments')
)
