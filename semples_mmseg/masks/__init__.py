"""From CAMs to label maps on disk and their scores: curves, refinement, pseudo masks.

Importing the package is fast; its modules are imported by ``register_components``.
"""

from __future__ import annotations

from typing import Any

REFINEMENTS: dict[str, dict[str, Any] | None] = {
    'none': None,
    'crf-voc': dict(type='DenseCRF', preset='voc'),
    'crf-coco': dict(type='DenseCRF', preset='coco'),
    'pamr': dict(type='PAMR'),
}
"""Short names of refinements with published settings, for the command line."""
