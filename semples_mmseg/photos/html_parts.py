"""Parts of the report as HTML: tables, pictures and curves inside the page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

_SIDE = 224
"""Longer side of a picture in pixels; a row of six takes some 60 kB."""

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem; text-align: left;
         vertical-align: top; overflow-wrap: anywhere; }
tbody th { font-weight: normal; }
figure { margin: 0; display: inline-block; } figcaption { font-size: .8rem; }
.rows img { width: 9.5rem; height: auto; } .rows th, .rows td { padding: .3rem; }
.chip { display: inline-block; width: .9em; height: .9em; border: 1px solid var(--line); }
svg { width: 26rem; max-width: 100%; height: auto; } svg text { fill: currentColor; }
svg path { fill: none; stroke: currentColor; opacity: .4; }
svg polyline { fill: none; stroke: #4a7bd0; stroke-width: 1.5; }
</style>
"""
"""Beginning of a page that loads nothing from other addresses; the title comes next."""


def text(value: object) -> str:
    """A value as escaped text."""
    return html.escape(str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = '') -> str:
    """A table of cells that are HTML already; the first cell of a row is its header.

    Without titles of the columns it is a table of names and values; ``kind`` is its CSS class.
    """
    top = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ''
    for first, *rest in rows:
        cells = ''.join(f'<td>{cell}</td>' for cell in rest)
        body += f'<tr><th scope="row">{first}</th>{cells}</tr>\n'
    top = top and f'<thead><tr>{top}</tr></thead>'
    return f'<table class="{kind}">{top}<tbody>\n{body}</tbody></table>'


def picture(pixels: np.ndarray, alt: str) -> str:
    """An image, uint8 RGB ``(H, W, 3)``, inside the page; ``alt`` says what it shows."""
    height, width = pixels.shape[:2]
    scale, stream = _SIDE / max(height, width), io.BytesIO()
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    Image.fromarray(pixels).resize(size).save(stream, 'WEBP', quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{text(alt)}">'


def curve(points: Sequence[tuple[float, float]], title: str, across: str) -> str:
    """A line through points (x, y), at least two, from the lowest to the highest y.

    Args:
        points: x ascending.
        title: Text below the curve.
        across: Name of x.
    """
    xs, ys = np.array(points).T
    places = np.stack(
        [
            np.interp(xs, (xs[0], xs[-1]), (50, 390)),
            110 - 100 * (ys - ys.min()) / max(np.ptp(ys), 1e-9),
        ]
    )
    line = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places.T)
    labels = (
        (46, 16, 'end', f'{ys.max():.3f}'),
        (46, 110, 'end', f'{ys.min():.3f}'),
        (50, 126, 'start', f'{across} {points[0][0]}'),
        (390, 126, 'end', points[-1][0]),
    )
    words = ''.join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11">{text(word)}</text>'
        for x, y, anchor, word in labels
    )
    return (
        f'<figure><svg viewBox="0 0 400 140" role="img" aria-label="{text(title)}">'
        f'<path d="M50 10V110H390"/>{words}<polyline points="{line}"/></svg>'
        f'<figcaption>{text(title)}</figcaption></figure>'
    )
