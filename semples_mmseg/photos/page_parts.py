"""Parts of ``report.html``, whose frame, style and script are ``report.html`` beside this file.

Texts from data stand in HTML alone, escaped; the script is always the same, and no other may run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from .explorer import fit_within

_PICTURE_SIDE = 512
"""Longer side of a picture in pixels, at most; six take some 150 kB."""


def fill_page(**parts: str) -> str:
    """The page with its parts, HTML, by their names."""
    frame = Path(__file__).with_name('report.html').read_text(encoding='utf-8')
    script = frame.partition('<script>')[2].partition('</script>')[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(frame).substitute(parts, digest=f'sha256-{digest}')


def text(value: object) -> str:
    """A value as escaped text."""
    return html.escape(str(value))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; the first cell of a row is a header."""
    top = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ''
    for first, *rest in rows:
        cells = ''.join(f'<td>{cell}</td>' for cell in rest)
        body += f'<tr><th scope="row">{first}</th>{cells}</tr>\n'
    top = top and f'<thead><tr>{top}</tr></thead>'
    return f'<div class="wide"><table>{top}<tbody>\n{body}</tbody></table></div>'


def card(title: str, lines: Iterable[str], pictures: Iterable[str], data: str = '') -> str:
    """A heading, lines and pictures; title and lines are plain text, ``data`` attributes."""
    words = ''.join(f'<p>{text(line)}</p>' for line in lines if line)
    return (
        f'<article class="card" {data}><h3>{text(title)}</h3>{words}'
        f'<div class="pictures">{"".join(pictures)}</div></article>'
    )


def picture(pixels: np.ndarray, caption: str, of: str = '') -> str:
    """An image, uint8 RGB ``(H, W, 3)``, inside the page, which opens large."""
    alt = f'{caption} of {of}' if of else caption
    stream = io.BytesIO()
    Image.fromarray(fit_within(pixels, _PICTURE_SIDE)).save(stream, 'WEBP', quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<figure><button><img src="data:image/webp;base64,{data}" '
        f'alt="{text(alt)}"></button>'
        f'<figcaption>{text(caption)}</figcaption></figure>'
    )


def curve(points: Sequence[tuple[float, float]], title: str, across: str) -> str:
    """A line through two or more points (x, y) over a title; x is ``across``."""
    figure = Figure((5, 2.3), dpi=100, layout='tight')
    axes = figure.subplots()
    axes.plot(*zip(*points, strict=True))
    axes.set_xlabel(across)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return picture(np.asarray(canvas.buffer_rgba())[..., :3], title)
