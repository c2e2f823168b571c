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
svg polyline { fill: none; stroke: #4a7bd0; stroke-width: 1.5; }
svg line { stroke: currentColor; opacity: .4; }
</style>
"""
"""Beginning of a page that loads nothing from other addresses; the title comes next."""


def text(value: object) -> str:
    """A value as escaped text."""
    return html.escape(str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = '') -> str:
    """A table of cells that are HTML already; the first cell of a row is its header.

    Args:
        head: Titles of the columns; none for a table of names and values.
        rows: From top to bottom.
        kind: Its CSS class.
    """
    top = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ''.join(
        f'<tr><th scope="row">{first}</th>' + ''.join(f'<td>{c}</td>' for c in rest) + '</tr>\n'
        for first, *rest in rows
    )
    top = top and f'<thead><tr>{top}</tr></thead>'
    return f'<table class="{kind}">{top}<tbody>\n{body}</tbody></table>'


def picture(pixels: np.ndarray, alt: str) -> str:
    """An image inside the page.

    Args:
        pixels: uint8 RGB, ``(H, W, 3)``.
        alt: What it shows.
    """
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    method = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(size, method).save(stream, 'WEBP', quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{text(alt)}">'


def curve(points: Sequence[tuple[float, float]], title: str, across: str) -> str:
    """A line through points, stretched to its lowest and highest value.

    Args:
        points: At least two (x, y), x ascending.
        title: Text below the curve.
        across: Name of x.
    """
    width, height = 400, 140
    xs, ys = zip(*points, strict=True)
    low, high = min(ys), max(ys)
    x_scale, y_scale = (width - 60) / (xs[-1] - xs[0]), (height - 40) / max(high - low, 1e-9)
    line = ' '.join(
        f'{50 + (x - xs[0]) * x_scale:.1f},{10 + (high - y) * y_scale:.1f}' for x, y in points
    )
    foot = height - 30
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{text(title)}">'
        f'<line x1="50" y1="10" x2="50" y2="{foot}"/>'
        f'<line x1="50" y1="{foot}" x2="{width - 10}" y2="{foot}"/>'
        f'<text x="46" y="16" text-anchor="end" font-size="11">{high:.3f}</text>'
        f'<text x="46" y="{foot}" text-anchor="end" font-size="11">{low:.3f}</text>'
        f'<text x="50" y="{foot + 16}" font-size="11">{text(across)} {xs[0]}</text>'
        f'<text x="{width - 10}" y="{foot + 16}" text-anchor="end" font-size="11">{xs[-1]}</text>'
        f'<polyline points="{line}"/></svg><figcaption>{text(title)}</figcaption></figure>'
    )
