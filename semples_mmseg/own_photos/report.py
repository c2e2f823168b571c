"""``report.html``: what a run on photos of one's own did, and the masks to look at first."""

from __future__ import annotations

import base64
import html
import io
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..pipeline.steps import RECORD
from ..utils.files import read_json
from ..utils.images import read_image
from ..utils.io import atomic_write
from ..utils.label_png import mask_path, read_mask
from ..utils.progress import progress
from ..version import __version__
from .confidence import Confidence, read_confidence
from .explorer import Explorer, fit_within
from .photos import photo_paths
from .recipe import Recipe
from .run import Run

CAM_STAGES = {'classify': 'CAM, stage 0', 'match': 'CAM, match', 'refine': 'CAM, refine'}
_SIDE = 224
"""Longer side of a picture in pixels; a row of six takes some 60 kB."""
_CAM_SIDE = 640
"""Longest side at which CAMs are computed."""

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem; text-align: left;
         vertical-align: top; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0; display: inline-block; } figcaption { font-size: .8rem; }
.rows img { width: 9.5rem; height: auto; image-rendering: auto; } .rows td { padding: .3rem; }
.chip { display: inline-block; width: .9em; height: .9em; border: 1px solid var(--line); }
svg { width: 26rem; max-width: 100%; height: auto; } svg text { fill: currentColor; }
svg polyline { fill: none; stroke: #4a7bd0; stroke-width: 1.5; }
svg line { stroke: currentColor; opacity: .4; }
"""


def write_report(run: Run, photos: int = 24) -> Path:
    """Write ``report.html``, one file without outside resources.

    Args:
        run: A finished run.
        photos: Number of rows of pictures, the least confident first.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If the run is not finished.
    """
    if not run.confidence.is_file():
        raise FileNotFoundError(
            f'{run.folder} has no confidence.csv: the run is not finished; continue it with '
            f'semples-mmseg fit --out {run.folder}'
        )
    confidence = read_confidence(run)
    explorer = Explorer(run)
    parts = [
        f'<h1>{_text(run.folder.resolve().name)}</h1>',
        _summary(run),
        '<h2>Classes</h2>',
        _classes(run, confidence, explorer),
        '<h2>Learned background prompts</h2>',
        _words(explorer),
        '<h2>Losses of the stages</h2>',
        _curves(run),
        '<h2>Least confident masks</h2>',
        '<p>Confidence: IoU of the pseudo mask of a tag with what the model predicts.</p>',
        _rows(run, confidence, explorer, photos),
    ]
    title = _text(run.folder.resolve().name)
    with atomic_write(run.report) as file:
        file.write(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f'<title>{title}</title><style>{_STYLE}</style></head><body>\n'
            + '\n'.join(parts)
            + f'\n<p>semples-mmseg {__version__}</p></body></html>\n'
        )
    return run.report


def _text(value: object) -> str:
    return html.escape(str(value))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = '') -> str:
    """A table of cells that are HTML already."""
    top = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ''.join('<tr>' + ''.join(f'<td>{c}</td>' for c in row) + '</tr>\n' for row in rows)
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>\n{body}</tbody></table>'


def _summary(run: Run) -> str:
    """Photos, recipe, and how long each step took."""
    about, labels = run.read(), run.labels()
    rows = [
        ('photos', f'{len(labels)} in {Path(about["photos"]).name}, tags: {about["form"]}'),
        *Recipe.from_json(about['recipe']).rows(len(labels)),
    ]
    steps = read_json(run.folder / RECORD) if (run.folder / RECORD).is_file() else {}
    rows += [(f'time: {name}', f'{step["seconds"]:.0f} s') for name, step in steps.items()]
    return _table(('', ''), [(_text(name), _text(value)) for name, value in rows])


def _classes(run: Run, confidence: Sequence[Confidence], explorer: Explorer) -> str:
    """Photos and confidence of each class."""
    values: Mapping[str, list[float]] = defaultdict(list)
    for row in confidence:
        values[row.tag].append(row.confidence)
    rows = []
    for number, name in enumerate(explorer.classes, 1):
        red, green, blue = explorer.palette[number]
        chip = f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'
        own = values[name]
        median = f'{statistics.median(own):.2f}' if own else ''
        rows.append((str(number), f'{chip} {_text(name)}', str(len(own)), median))
    return _table(('id', 'class', 'photos', 'median confidence'), rows)


def _words(explorer: Explorer) -> str:
    """The nouns nearest to each learned prompt."""
    try:
        found = explorer.nearest_words()
    except ValueError as error:
        return f'<p>{_text(error)}</p>'
    rows = [
        (_text(name), _text(', '.join(f'{near.word} {near.similarity:.2f}' for near in words)))
        for name, words in found.items()
    ]
    return _table(('class', 'nearest nouns, with cosine'), rows)


def _curves(run: Run) -> str:
    """The loss of every stage by step, from the logs of all starts."""
    losses: dict[int, tuple[int, float]] = {}
    for file in sorted(run.semples.glob('*/vis_data/scalars.json')):
        for line in file.read_text(encoding='utf-8').splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                losses[entry['step']] = (entry['epoch'], entry['loss'])
    figures, first = [], 0
    for stage, work in Recipe.from_json(run.read()['recipe']).stages.items():
        last = first + work.epochs
        points = [
            (step, loss) for step, (epoch, loss) in sorted(losses.items()) if first < epoch <= last
        ]
        if len(points) > 1:
            figures.append(_curve(stage, points))
        first = last
    return '\n'.join(figures) or '<p>There are no logs.</p>'


def _curve(stage: str, points: Sequence[tuple[int, float]], width: int = 400) -> str:
    steps, losses = zip(*points, strict=True)
    low, high, height = min(losses), max(losses), 140
    across = (width - 60) / max(steps[-1] - steps[0], 1)
    up = (height - 40) / max(high - low, 1e-9)
    line = ' '.join(
        f'{50 + (x - steps[0]) * across:.1f},{10 + (high - y) * up:.1f}' for x, y in points
    )
    title = f'{stage}: loss {losses[0]:.3f} to {losses[-1]:.3f}'
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(title)}">'
        f'<line x1="50" y1="10" x2="50" y2="{height - 30}"/>'
        f'<line x1="50" y1="{height - 30}" x2="{width - 10}" y2="{height - 30}"/>'
        f'<text x="46" y="16" text-anchor="end" font-size="11">{high:.3f}</text>'
        f'<text x="46" y="{height - 30}" text-anchor="end" font-size="11">{low:.3f}</text>'
        f'<text x="50" y="{height - 14}" font-size="11">step {steps[0]}</text>'
        f'<text x="{width - 10}" y="{height - 14}" text-anchor="end" font-size="11">'
        f'{steps[-1]}</text><polyline points="{line}"/></svg>'
        f'<figcaption>{_text(title)}</figcaption></figure>'
    )


def _rows(run: Run, confidence: Sequence[Confidence], explorer: Explorer, number: int) -> str:
    """Rows of photo, CAMs after stages, pseudo mask and prediction, least confident first."""
    lowest: dict[str, Confidence] = {}
    for row in confidence:
        lowest.setdefault(row.photo, row)
    names, labels = list(lowest)[:number], run.labels()
    pictures: dict[str, list[str]] = {name: [] for name in names}
    photos = {
        name: fit_within(read_image(path), _CAM_SIDE)
        for name, path in photo_paths(run, names).items()
    }
    for name, photo in photos.items():
        about = [name, ', '.join(labels[name]), f'{lowest[name].confidence:.2f}']
        caption = ''.join(f'<br>{_text(line)}' for line in about)
        pictures[name].append(_picture(photo, f'photo {name}') + caption)
    for stage, title in CAM_STAGES.items():
        explorer.use_stage(stage)
        for name in progress(names, title):
            look = explorer.look(photos[name], labels[name])
            pictures[name].append(_picture(explorer.cam_picture(look), f'{title} of {name}'))
    for kind, masks in (('pseudo mask', run.masks), ('model', run.predictions)):
        for name, photo in photos.items():
            mask = Image.fromarray(read_mask(mask_path(masks, name)))
            label = np.asarray(mask.resize(photo.shape[1::-1], Image.Resampling.NEAREST))
            painted = explorer.mask_picture(photo, label)
            pictures[name].append(_picture(painted, f'{kind} of {name}'))
    head = ('photo, tags, lowest confidence', *CAM_STAGES.values(), 'pseudo mask', 'model')
    return _table(head, pictures.values(), 'rows')


def _picture(pixels: np.ndarray, text: str) -> str:
    """An image inside the page."""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    method = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(size, method).save(stream, 'WEBP', quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{_text(text)}">'
