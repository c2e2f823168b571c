"""Refinements by short names. Importing this module is fast."""

from __future__ import annotations

from typing import Any

REFINEMENTS: dict[str, dict[str, Any] | None] = {
    'none': None,
    'crf-voc': dict(type='DenseCRF', preset='voc'),
    'crf-coco': dict(type='DenseCRF', preset='coco'),
    'pamr': dict(type='PAMR'),
}
"""Short names of refinements with published settings, for the command line."""
