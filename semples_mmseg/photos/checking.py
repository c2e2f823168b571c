"""``semples-mmseg check``: what is in photos and tags, and what ``fit`` will do with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..utils.console import plain_console
from ..utils.errors import Missing, MissingPackage
from ..utils.names import count
from .fit import check_weights, choose_weights, show_settings
from .inspection import STOPPING, inspect_photos, show_inspection
from .settings import choose_settings
from .vocabulary import unknown_words


def check_photos(
    photos: Path,
    tags: Path | None,
    classes: Path | None,
    renames: Sequence[tuple[str, str]],
    as_json: bool,
    **settings: Any,
) -> int:
    """Print what is found, as text or as one JSON object.

    Returns:
        The exit code: 0 if all is well or classes have few photos, 1 if there are other findings.
    """
    console = plain_console(soft_wrap=True, quiet=as_json)
    found = inspect_photos(photos, tags, classes, renames=renames)
    usable = found.usable(skip_unreadable=True, skip_rare=True, skip_missing=True)
    given = settings['backbone'] or settings['clip']
    settings['weights'], why = choose_weights(settings['weights'], given)
    chosen = choose_settings(found.sizes.values(), **settings)
    show_inspection(found, console)
    findings, downloads = found.findings(), list[str]()
    if unknown := unknown_words(usable.classes, chosen.weights):
        findings['words'] = unknown
        console.print(f'- {unknown}')
    try:
        downloads = check_weights(chosen, download=False)
    except (Missing, MissingPackage) as error:
        findings['weights'] = str(error)
        console.print(f'- {error}')
    if why:
        console.print(why)
    show_settings(chosen, len(usable.tags), console)
    if downloads:
        console.print(f'fit will download the weights: {", ".join(downloads)}')
    stopping = [kind for kind in findings if kind in STOPPING]
    after = 'fit will not start before this is mended' if stopping else 'fit will start'
    console.print(f'{count(len(findings), "finding")}: {after}' if findings else 'all is well')
    if as_json:
        content = dict(
            photos=len(found.sizes),
            form=found.tagged.form,
            notes=found.tagged.notes,
            classes=found.counts,
            no_class=found.negatives,
            findings=findings,
            fit_starts=not stopping,
            downloads=downloads,
            settings=asdict(chosen),
            forecast=chosen.forecast(len(usable.tags)),
        )
        print(json.dumps(content, indent=2, ensure_ascii=False))
    return int(bool(findings.keys() - {'few'}))
