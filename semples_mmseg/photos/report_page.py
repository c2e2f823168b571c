"""``report.html``: the results of a run on your own photos, and the masks to check first."""

from __future__ import annotations

import base64
import html
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..masks.threshold_curve import ThresholdCurve
from ..runs.time_left import duration
from ..utils.errors import Missing
from ..utils.images import read_image
from ..utils.io import atomic_write
from ..utils.label_png import mask_path, read_mask
from ..utils.parallel import progress
from ..utils.record import Record
from ..version import __version__
from .confidence import Confidence, read_confidence
from .explorer import Explorer, fit_within
from .overlays import overlay_mask
from .retrain import summary as by_hand
from .run import Run

_CAM_STAGES = {'classify': 'CAM, stage 0', 'match': 'CAM, match', 'refine': 'CAM, refine'}
_CAM_SIDE = 640
"""Longest side at which CAMs are computed."""
_SCORES = [step / 100 for step in range(5, 96)]
"""Background scores of the seed curve."""
_PICTURE_SIDE = 224
"""Longer side of a picture in pixels; a row of six takes some 60 kB."""

_HEAD = """<!doctype html>
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


def write_report(run: Run, photos: int = 24, truth: Path | None = None) -> Path:
    """Write ``report.html``, one file without outside resources, and return its path.

    Args:
        run: A finished run.
        photos: Number of rows of pictures, the least confident first.
        truth: Folder of true masks of some of the photos, for the curve of the seeds. They have
            the names, sizes and ids of the run's masks; 255 is not counted.

    Raises:
        FileNotFoundError: If the run is not finished, or ``truth`` has no mask of its photos.
        ValueError: If a true mask has another size than its photo, or other ids.
    """
    if not run.confidence.is_file():
        raise Missing(
            f'{run.folder} has no confidence.csv: the run is not finished; continue it with '
            f'semples-mmseg fit --out {run.folder}'
        )
    true_masks = {} if truth is None else _true_masks(run, truth)
    confidence = read_confidence(run)
    explorer = Explorer(run)
    shown = list(dict.fromkeys(row.photo for row in confidence))[:photos]
    best = {row.tag: row.photo for row in confidence}  # the last row of a tag is its best
    paths = run.photo_paths(dict.fromkeys([*shown, *best.values(), *true_masks]))
    title = _text(run.folder.resolve().name)
    parts = [
        f'<title>{title}</title></head><body>',
        f'<h1>{title}</h1>',
        _summary(run),
        '<h2>Classes</h2>',
        _classes(confidence, explorer),
        '<h2>Learned background prompts</h2>',
        '<p>The words nearest to the background prompt of each class, with their cosine, and where '
        'CLIP sees the prompt in the most confident photo of the class: red most, blue least.</p>',
        _prompts(best, explorer, paths),
        '<h2>Losses</h2>',
        _losses(run),
        _seeds(run, explorer, true_masks, paths) if true_masks else '',
        '<h2>Least confident masks</h2>',
        '<p>Confidence: IoU of the pseudo mask of a tag with what the model predicts.</p>',
        _rows(run, confidence, explorer, {name: paths[name] for name in shown}),
        f'<p>semples-mmseg {__version__}</p></body></html>\n',
    ]
    with atomic_write(run.report) as file:
        file.write(_HEAD + '\n'.join(parts))
    return run.report


def _summary(run: Run) -> str:
    """Photos, settings, and how long each step took."""
    about, labels, record = run.entry().about, run.labels(), Record(run.folder)
    rows = [
        ('photos', f'{len(labels)} in {Path(about["photos"]).name}, tags: {about["form"]}'),
        *run.fit_settings().rows(len(labels)),
        *by_hand(run),
    ]
    for name in ('stages', 'pseudo masks', 'Segmenter', 'predictions'):
        if name in record and 'seconds' in record[name].about:
            rows.append((f'time: {name}', duration(record[name].about['seconds'])))
    return _table((), [(_text(name), _text(value)) for name, value in rows])


def _classes(confidence: Sequence[Confidence], explorer: Explorer) -> str:
    """Photos and confidence of each class."""
    rows = []
    for number, name in enumerate(explorer.classes, 1):
        chip = f'<span class="chip" style="background:rgb{tuple(explorer.palette[number])}"></span>'
        own = [row.confidence for row in confidence if row.tag == name]
        median = f'{statistics.median(own):.2f}' if own else ''
        rows.append((f'{chip} {_text(name)}', str(number), str(len(own)), median))
    return _table(('class', 'id', 'photos', 'median confidence'), rows)


def _prompts(best: Mapping[str, str], explorer: Explorer, paths: Mapping[str, Path]) -> str:
    """The nouns nearest to each learned prompt, and its map in the class's most confident photo."""
    try:
        found, reason = explorer.nearest_words(), ''
    except ValueError as error:
        found, reason = {}, str(error)
    rows = []
    for tag in progress(explorer.classes, 'prompts'):
        nouns = ', '.join(f'{near.word} {near.similarity:.2f}' for near in found.get(tag, ()))
        pictures = ['', '']
        if tag in best:
            photo = fit_within(read_image(paths[best[tag]]), _CAM_SIDE)
            seen = explorer.prompt_picture(photo, tag)
            pictures = [_picture(photo, f'a photo of {tag}'), _picture(seen, f'prompt of {tag}')]
        rows.append((_text(tag), _text(nouns or reason), *pictures))
    return _table(('class', 'nearest nouns', 'photo', 'prompt'), rows, 'rows')


def _losses(run: Run) -> str:
    """The loss of every stage and of the Segmenter by step, from the logs of all starts."""
    logged, first = _logged(run.semples), 0
    lines: dict[str, list[tuple[int, float]]] = {}
    for stage, length in run.fit_settings().stages.items():
        last = first + length.epochs
        lines[stage] = [(step, loss) for step, epoch, loss in logged if first < epoch <= last]
        first = last
    lines['Segmenter'] = [(step, loss) for step, _, loss in _logged(run.segmenter)]
    figures = [
        _curve(points, f'{name}: loss {points[0][1]:.3f} to {points[-1][1]:.3f}', 'step')
        for name, points in lines.items()
        if len(points) > 1
    ]
    return '\n'.join(figures) or '<p>There are no logs.</p>'


def _logged(folder: Path) -> list[tuple[int, int, float]]:
    """Step, epoch and loss of the logs in a work folder; of repeated steps the last."""
    losses = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in map(json.loads, file.read_text(encoding='utf-8').splitlines()):
            if 'loss' in line:
                losses[line['step']] = (line['epoch'], line['loss'])
    return [(step, *losses[step]) for step in sorted(losses)]


def _true_masks(run: Run, truth: Path) -> dict[str, Path]:
    """The existing true masks by photo."""
    paths = {name: mask_path(truth, name) for name in run.labels()}
    found = {name: path for name, path in paths.items() if path.is_file()}
    if not found:
        raise Missing(
            f'--truth: {truth} has no mask of the photos of {run.folder}, such as '
            f'{next(iter(paths.values()))}: masks are named as those in {run.masks}'
        )
    return found


def _seeds(
    run: Run, explorer: Explorer, truth: Mapping[str, Path], paths: Mapping[str, Path]
) -> str:
    """Seed mIoU of the photos that have a true mask, at every background score."""
    labels, own = run.labels(), explorer.background_score
    found = ThresholdCurve(len(explorer.classes), sorted({*_SCORES, own}))
    for name in progress(truth, 'seeds'):
        seen = explorer.compute_cams(read_image(paths[name]), labels[name])
        target = torch.from_numpy(read_mask(truth[name]))
        found.update(torch.from_numpy(seen.cams), torch.tensor(seen.classes), target, name)
    miou = found.scores()['mIoU']
    best = int(miou.argmax())
    title = (
        f'seed mIoU: {miou[best]:.1f} at best, at {found.thresholds[best]:.2f}; '
        f'{miou[found.index(own)]:.1f} at {own:.2f}, the score of the run'
    )
    points = list(zip(found.thresholds, miou.tolist(), strict=True))
    return (
        '<h2>Seeds against true masks: a diagnostic</h2>'
        f'<p>CAMs of {len(truth)} photos as masks, before any refinement, at every background '
        'score. The best score is chosen by the true masks; the run did not use them.'
        f'</p>{_curve(points, title, "background score")}'
    )


def _rows(
    run: Run, confidence: Sequence[Confidence], explorer: Explorer, paths: Mapping[str, Path]
) -> str:
    """Rows of photo, CAMs after stages, pseudo mask and prediction, least confident first."""
    labels, lowest = run.labels(), {row.photo: row for row in reversed(confidence)}
    photos = {name: fit_within(read_image(path), _CAM_SIDE) for name, path in paths.items()}
    rows: dict[str, list[str]] = {}
    for name, photo in photos.items():
        worst = f'{lowest[name].tag}: {lowest[name].confidence:.2f}'
        caption = ''.join(f'<br>{_text(line)}' for line in (name, ', '.join(labels[name]), worst))
        rows[name] = [_picture(photo, f'photo {name}') + caption]
    for stage, title in _CAM_STAGES.items():
        explorer.use_stage(stage)
        for name in progress(paths, title):
            seen = explorer.compute_cams(photos[name], labels[name])
            rows[name].append(_picture(seen.picture(), f'{title} of {name}'))
    for kind, masks in (('pseudo mask', run.masks), ('model', run.predictions)):
        for name, photo in photos.items():
            mask = Image.fromarray(read_mask(mask_path(masks, name)))
            label = np.asarray(mask.resize(photo.shape[1::-1], Image.Resampling.NEAREST))
            painted = overlay_mask(photo, label, explorer.palette)
            rows[name].append(_picture(painted, f'{kind} of {name}'))
    head = ('photo, tags, lowest confidence', *_CAM_STAGES.values(), 'pseudo mask', 'model')
    return _table(head, rows.values(), 'rows')


def _text(value: object) -> str:
    """A value as escaped text."""
    return html.escape(str(value))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = '') -> str:
    """A table of cells that are HTML already, with a CSS class; the first cell is a header."""
    top = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    body = ''
    for first, *rest in rows:
        cells = ''.join(f'<td>{cell}</td>' for cell in rest)
        body += f'<tr><th scope="row">{first}</th>{cells}</tr>\n'
    top = top and f'<thead><tr>{top}</tr></thead>'
    return f'<table class="{kind}">{top}<tbody>\n{body}</tbody></table>'


def _picture(pixels: np.ndarray, alt: str) -> str:
    """An image, uint8 RGB ``(H, W, 3)``, inside the page; ``alt`` says what it shows."""
    height, width = pixels.shape[:2]
    scale, stream = _PICTURE_SIDE / max(height, width), io.BytesIO()
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    Image.fromarray(pixels).resize(size).save(stream, 'WEBP', quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{_text(alt)}">'


def _curve(points: Sequence[tuple[float, float]], title: str, across: str) -> str:
    """A line through two or more points (x, y), x ascending, over a title; x is ``across``."""
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
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11">{_text(word)}</text>'
        for x, y, anchor, word in labels
    )
    return (
        f'<figure><svg viewBox="0 0 400 140" role="img" aria-label="{_text(title)}">'
        f'<path d="M50 10V110H390"/>{words}<polyline points="{line}"/></svg>'
        f'<figcaption>{_text(title)}</figcaption></figure>'
    )
