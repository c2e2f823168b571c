"""The Segmenter again, on masks corrected by hand: `semples-mmseg retrain` fills in the values."""

_base_ = 'photos.py'
title = 'your own photos, with masks corrected by hand'
# The list of all photos, and the config that is the base of ours, are in the folder of fit.
places = dict(photos='photos', fit='.')
values = dict(segmenter_length=20, predictions_length=1)
steps = _base_.steps[2:]
