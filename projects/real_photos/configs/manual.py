"""Stage (c) with habitual backgrounds, named by hand, in place of learned prompts."""

_base_ = 'semples.py'
# Words that the small CLIP knows: sky, road, tree, wall and floor are not among them.
places = dict(
    aeroplane=['field', 'grass'], bicycle=['building', 'fence'], bird=['grass', 'water'],
    boat=['water', 'sea'], book=['bookcase', 'library'], car=['building', 'house'],
    cat=['rug', 'bed'], chair=['rug', 'table'], cow=['grass', 'field'], dog=['grass', 'rug'],
    flower=['grass', 'plant'], horse=['grass', 'field'], person=['building', 'house'],
    sheep=['grass', 'field'], sign=['building', 'house'], sofa=['rug', 'curtain'],
)  # fmt: skip
texts = {name: places[name] for name in _base_.data.class_names}
prompts = dict(_delete_=True, type='ManualPrompts', texts=texts, template='a photo of {}.')
model = dict(prompt_learner=prompts)
