"""Training of the demo's two small models, a tiny CLIP and a small backbone.

Captions, tags and cut-outs come from the renderer, on scenes drawn for this purpose; no image or
mask of the weakly tagged set is used.
"""
