"""Refinement with background prompts written by hand, CLIMS's for VOC, in the place of learned ones.

python tools/train.py configs/semples/baselines/voc_manual_prompts.py

The generator starts from its stage-0 weights, as in voc_refine.py. A list for each class:
texts=dict(aeroplane=['sky', ...], ...).
"""

_base_ = '../voc_match.py'
model = dict(
    prompt_learner=dict(
        _delete_=True,
        type='ManualPrompts',
        # CLIMS (arXiv 2203.02668)
        texts=[
            *['tree', 'river', 'sea', 'lake', 'water'],
            *['railway', 'railroad', 'track', 'stone', 'rocks'],
        ],
        template='a photo of {}.',
    )
)
stages = [dict(name='refine', epochs=60, batch_size=64)]
