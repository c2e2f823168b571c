"""``report.html``: the results of a run on your own photos, and the masks to check first."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..masks.threshold_curve import ThresholdCurve
from ..runs.time_left import duration
from ..utils.errors import Missing, Refusal
from ..utils.images import read_image
from ..utils.io import atomic_write
from ..utils.label_png import mask_path, read_mask
from ..utils.lists import name_some
from ..utils.names import count
from ..utils.parallel import progress
from ..utils.record import Record
from ..version import __version__
from .confidence import Confidence, read_confidence
from .explorer import Explorer, fit_within
from .inspection import ENOUGH
from .overlays import overlay_mask
from .page_parts import card, curve, fill_page, picture, table, text
from .retrain import summary as by_hand
from .run import Run

_CAM_STAGES = {'classify': 'CAM, stage 0', 'match': 'CAM, match', 'refine': 'CAM, refine'}
_CAM_SIDE = 640
"""Longest side at which CAMs are computed."""
_SCORES = [step / 100 for step in range(5, 96)]
"""Background scores of the seed curve."""
MOST_ROWS = 300  # photos with pictures, which a browser still shows well: 45 MB
_NEAR_ZERO = 0.1
"""Median confidence of a class whose masks and model do not agree."""


def write_report(
    run: Run, rows: int = 24, truth: Path | None = None, photos: Path | None = None
) -> dict[str, Any]:
    """Write ``report.html``, one file without outside resources.

    Args:
        run: A finished run.
        rows: Number of photos with pictures, the least confident first.
        truth: Folder of true masks of some of the photos, for the curve of the seeds. They have
            the names, sizes and ids of the run's masks; 255 is not counted.
        photos: Folder of the photos, if it was moved.

    Returns:
        JSON data: the path, the judgement, and photos and median confidence of each class.

    Raises:
        FileNotFoundError: If the run is not finished, or ``truth`` has no mask of its photos.
        ValueError: If a true mask has another size than its photo, or other ids; for too many rows.
    """
    if rows > MOST_ROWS:
        raise Refusal(f'--rows {rows}: a page shows at most {MOST_ROWS} photos')
    if not run.confidence.is_file():
        raise Missing(
            f'{run.folder} has no confidence.csv: the run is not finished; continue it with '
            f'semples-mmseg fit --out {run.folder}'
        )
    true_masks = {} if truth is None else _true_masks(run, truth)
    confidence = read_confidence(run)
    shown = list(dict.fromkeys(row.photo for row in confidence))[:rows]
    best = {row.tag: row.photo for row in confidence}  # the last row of a tag is its best
    paths = run.photo_paths(dict.fromkeys([*shown, *best.values(), *true_masks]), photos)
    explorer = Explorer(run)
    lines, classes = _loss_lines(run), _classes(confidence, explorer)
    judgement = judge(run, classes, lines)
    page = fill_page(
        title=text(run.folder.resolve().name),
        judgement=''.join(f'<li>{text(one)}</li>' for one in judgement),
        cards=_cards(run, confidence, explorer, {name: paths[name] for name in shown}),
        classes=_class_table(classes, explorer),
        prompts=_prompts(best, explorer, paths),
        losses=_losses(lines),
        seeds=_seeds(run, explorer, true_masks, paths) if true_masks else '',
        summary=_summary(run),
        version=__version__,
    )
    with atomic_write(run.report) as file:
        file.write(page)
    content = dict(report=str(run.report), judgement=judgement, classes=classes)
    return content | dict(by_hand(run))


def judge(
    run: Run, classes: Mapping[str, Mapping[str, Any]], lines: Mapping[str, Sequence[Any]]
) -> list[str]:
    """What speaks against the masks of a run, in words, each with what to do."""
    settings = run.fit_settings()
    few = [f'{name} ({n})' for name, one in classes.items() if (n := one['photos']) < ENOUGH]
    medians = {name: one['median'] for name, one in classes.items() if one['photos']}
    poor = [f'{name} ({found:.2f})' for name, found in medians.items() if found < _NEAR_ZERO]
    flat = [name for name, points in lines.items() if len(points) > 3 and not _falls(points)]
    said = (
        (settings.weights == 'demo', 'Trained from the small models of the demo (--weights '
         'demo), which know only its drawn scenes: masks of real photos are useless. Run fit '
         'without this option.'),
        (settings.weights == 'small', 'Trained from the small models, which see less than DeiT-S '
         'and CLIP ViT-B/32: where these can be had, --weights pretrained is the better choice.'),
        (settings.epochs, f'Trained with --epochs {settings.epochs}, a trial. Run fit '
         'without this option, with another --out.'),
        (few, f'Few photos of {name_some(few)}: tag some dozens of each class.'),
        (poor, f'Masks and model do not agree on {name_some(poor, 8)}: the median confidence is '
         'near 0, so these masks are hardly of use. Look at some of them; tag more photos, also '
         'photos with the usual background of the class but without it.'),
        (flat, f'The loss did not fall in {", ".join(flat)}: too few photos or epochs, or wrong '
         'tags.'),
    )  # fmt: skip
    none = 'Nothing speaks against this run. Look at the first masks below, all the same.'
    return [words for true, words in said if true] or [none]


def _falls(points: Sequence[tuple[int, float]]) -> bool:
    """Whether the last quarter of a loss is lower than the first."""
    quarter, losses = len(points) // 4, [loss for _, loss in points]
    return statistics.mean(losses[-quarter:]) < statistics.mean(losses[:quarter])


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
    return table((), [(text(name), text(value)) for name, value in rows])


def _classes(confidence: Sequence[Confidence], explorer: Explorer) -> dict[str, Any]:
    """Number of photos and median confidence of each class."""
    found = {}
    for name in explorer.classes:
        own = [row.confidence for row in confidence if row.tag == name]
        found[name] = dict(photos=len(own), median=statistics.median(own) if own else None)
    return found


def _class_table(classes: Mapping[str, Any], explorer: Explorer) -> str:
    rows = []
    for number, (name, one) in enumerate(classes.items(), 1):
        chip = f'<span class="chip" style="background:rgb{tuple(explorer.palette[number])}"></span>'
        median = '' if one['median'] is None else f'{one["median"]:.2f}'
        rows.append((f'{chip}&nbsp;{text(name)}', str(number), str(one['photos']), median))
    return table(('class', 'id', 'photos', 'median confidence'), rows)


def _prompts(best: Mapping[str, str], explorer: Explorer, paths: Mapping[str, Path]) -> str:
    """The nouns nearest to each learned prompt, and its map in the class's most confident photo."""
    try:
        found, reason = explorer.nearest_words(), ''
    except ValueError as error:
        found, reason = {}, str(error)
    cards = []
    for tag in progress(explorer.classes, 'prompts'):
        nouns = ', '.join(f'{near.word} {near.similarity:.2f}' for near in found.get(tag, ()))
        pictures = []
        if tag in best:
            photo = _small(paths[best[tag]])
            seen = explorer.prompt_picture(photo, tag)
            pictures = [picture(photo, 'photo', tag), picture(seen, 'background prompt', tag)]
        cards.append(card(tag, [nouns or reason], pictures))
    return '\n'.join(cards)


def _loss_lines(run: Run) -> dict[str, list[tuple[int, float]]]:
    """Steps and losses of every stage and of the Segmenter, from the logs of all starts."""
    logged, first = _logged(run.semples), 0
    lines: dict[str, list[tuple[int, float]]] = {}
    for stage, length in run.fit_settings().stages.items():
        last = first + length.epochs
        lines[stage] = [(step, loss) for step, epoch, loss in logged if first < epoch <= last]
        first = last
    lines['Segmenter'] = [(step, loss) for step, _, loss in _logged(run.segmenter)]
    return lines


def _losses(lines: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    figures = [
        curve(points, f'{name}: loss {points[0][1]:.3f} to {points[-1][1]:.3f}', 'step')
        for name, points in lines.items()
        if len(points) > 1
    ]
    return ''.join(figures) or 'Too few steps for a curve.'


def _logged(folder: Path) -> list[tuple[int, int, float]]:
    """Step, epoch and loss of the logs in a work folder; of repeated steps the last."""
    losses = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for written in file.read_text(encoding='utf-8', errors='replace').splitlines():
            # Killed runs leave half a line, steps that were left out no number.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                line = json.loads(written)
                if math.isfinite(line['loss']):
                    losses[int(line['step'])] = (int(line['epoch']), line['loss'])
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
        f'<p>CAMs of {count(len(truth), "photo")} as masks, before any refinement, at every '
        'background score. The best score is chosen by the true masks; the run did not use them.'
        f'</p><div class="curves">{curve(points, title, "background score")}</div>'
    )


def _cards(
    run: Run, confidence: Sequence[Confidence], explorer: Explorer, paths: Mapping[str, Path]
) -> str:
    """A card for each photo: CAMs after stages, pseudo mask and prediction."""
    pictures = {name: [picture(_small(path), 'photo', name)] for name, path in paths.items()}
    labels = run.labels()
    for stage, title in _CAM_STAGES.items():
        explorer.use_stage(stage)
        for name in progress(paths, title):
            seen = explorer.compute_cams(_small(paths[name]), labels[name])
            pictures[name].append(picture(seen.picture(), title, name))
    for kind, masks in (('pseudo mask', run.masks), ('model', run.predictions)):
        for name in progress(paths, kind):
            photo = _small(paths[name])
            mask = Image.fromarray(read_mask(mask_path(masks, name)))
            label = np.asarray(mask.resize(photo.shape[1::-1], Image.Resampling.NEAREST))
            painted = overlay_mask(photo, label, explorer.palette)
            pictures[name].append(picture(painted, kind, name))
    cards = []
    for name in paths:
        own = {row.tag: row.confidence for row in confidence if row.photo == name}
        data = text(json.dumps({tag: round(iou, 4) for tag, iou in own.items()}))
        line = ', '.join(f'{tag} {iou:.2f}' for tag, iou in own.items())
        cards.append(card(name, [line], pictures[name], f'data-iou="{data}"'))
    return '\n'.join(cards)


def _small(path: Path) -> np.ndarray:
    """A photo at the size of its CAMs; many would fill the memory."""
    return fit_within(read_image(path), _CAM_SIDE)
