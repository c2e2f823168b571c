"""Making of the two small models that play the downloaded ones in the demo.

Their captions, tags, cut-outs and paste outlines come from the renderer of two sets drawn for
this purpose. Neither an image nor a mask of the weakly tagged set is used here.
"""

from projects.demo_world.pretraining.making import make_demo_models

__all__ = ['make_demo_models']
