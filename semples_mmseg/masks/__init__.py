"""From CAMs to label maps on disk and their scores: curves, refinement, pseudo masks.

Importing the package is fast; its modules are imported by ``register_components``.
"""

from __future__ import annotations

from typing import Any

from ..utils.errors import Refusal

REFINEMENTS: dict[str, dict[str, Any] | None] = {
    'none': None,
    'crf-voc': dict(type='DenseCRF', preset='voc'),
    'crf-coco': dict(type='DenseCRF', preset='coco'),
    'pamr': dict(type='PAMR'),
}
"""Short names of refinements with published settings, for the command line."""


def named_refinement(name: str) -> dict[str, Any] | None:
    """The config of one of ``REFINEMENTS``, of ``segments:FOLDER`` or ``affinity:MODEL``."""
    kind, _, value = name.partition(':')
    if value and kind == 'segments':
        return dict(type='SegmentVoting', folder=value)
    if value and kind == 'affinity':
        return dict(type='PatchAffinity', model=value)
    if name not in REFINEMENTS:
        known = ', '.join(REFINEMENTS)
        raise Refusal(f'No refinement {name!r}; there are {known}, segments:FOLDER, affinity:MODEL')
    return REFINEMENTS[name]
