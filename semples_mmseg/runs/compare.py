"""Tables of runs beside the figures of the paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mmengine.config import Config

from ..models.losses import PromptLoss, RefineLoss
from ..utils.errors import Missing, Refusal
from ..utils.files import read_json

TABLES = ('1', '2', '3', '4', '5', '6')
_SEMPLES_FOLDERS = ('semples', '.')
_MATCH = 'match'


@dataclass(frozen=True)
class RunFigures:
    """The figures of a run.

    Attributes:
        name: Name in the table.
        data: Type of its data set, e.g. ``WeakVOCDataset``.
        stages: Names of its stages, in order.
        settings: Weights of the losses and lengths of the stages.
        seeds: Seed mIoU in percent after a stage, by the stage's name.
        from_validation: Whether the seeds are those of the validation during training.
        figures: mIoU in percent: ``mask`` of the pseudo masks, ``labelled`` of the Segmenter on
            labelled training images, ``val`` of the Segmenter.
    """

    name: str
    data: str
    stages: tuple[str, ...]
    settings: Mapping[str, Any]
    seeds: Mapping[str, float]
    from_validation: bool
    figures: Mapping[str, float]

    @property
    def last(self) -> str:
        """The stage that the run ends with."""
        return self.stages[-1]


def read_run(text: str) -> RunFigures:
    """Read the folder of a run: of ``tools/train.py``, or of a whole pipeline.

    Seeds are those of ``seeds.json`` and ``seeds_<stage>.json`` (``tools/test.py --metrics``), or
    else of the validation in ``stages.json``; other figures are those of ``masks.json``,
    ``labelled_train.json``, ``val.json`` and the demo's ``results.json``.

    Args:
        text: Path of the folder, or ``NAME=PATH``.

    Raises:
        FileNotFoundError: If it holds no staged run.
        ValueError: If a file of it is damaged.
    """
    name, _, path = ('', '', text) if Path(text).is_dir() else text.partition('=')
    folder = Path(path or name)
    works = [folder / part for part in _SEMPLES_FOLDERS]
    work = next((one for one in works if (one / 'stages.json').is_file()), None)
    configs = sorted(work.glob('*.py'), key=lambda file: file.stat().st_mtime) if work else []
    if work is None or not configs:
        raise Missing(
            f'{folder} holds no staged run (stages.json and its config): give the work folder of '
            'tools/train.py or tools/run_pipeline.py'
        )
    config = Config.fromfile(configs[-1])
    stages = tuple(stage.name for stage in config.stages)
    recorded = {
        record['stage']: record['metrics'].get('seed_mIoU')
        for record in read_json(work / 'stages.json')
    }
    tested = {stage: _figure(folder / f'seeds_{stage}.json', 'seed_mIoU') for stage in recorded}
    tested[stages[-1]] = tested.get(stages[-1]) or _figure(folder / 'seeds.json', 'seed_mIoU')
    measured = any(value is not None for value in tested.values())
    loss = {
        kind: {k: v for k, v in config.model.get(f'{kind}_loss', {}).items() if k != 'type'}
        for kind in ('match', 'prompt', 'refine')
    }
    prompt = PromptLoss(**loss['prompt'])
    demo = _content(folder / 'results.json').get('pseudo_masks', {})
    figures = dict(
        mask=_figure(folder / 'masks.json', 'mIoU') or demo.get('train_mIoU'),
        labelled=_figure(folder / 'labelled_train.json', 'mIoU'),
        val=_figure(folder / 'val.json', 'mIoU')
        or _figure(folder / 'segmenter/metrics.json', 'mIoU'),
    )
    return RunFigures(
        name or folder.resolve().name,
        config.train_dataloader.dataset.type,
        stages,
        {
            'text_weight': prompt.text_weight,
            'image_weight': prompt.image_weight,
            'λ': RefineLoss(**loss['refine']).weight,
            'match_loss': loss['match'],
            'generator': config.model.mask_generator.type,
            'stages': [(stage.name, stage.epochs) for stage in config.stages],
        },
        _known(tested if measured else recorded),
        not measured,
        _known(figures),
    )


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise Refusal(f'{path}: expected figures by name, got a {type(content).__name__}')
    return content


def _figure(path: Path, key: str) -> float | None:
    value = _content(path).get(key)
    return None if value is None else float(value)


def _known(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in figures.items() if value is not None}


@dataclass
class Table:
    """A table of texts.

    Attributes:
        title: Its caption.
        columns: Titles of the columns.
        rows: The cells.
        notes: Lines below the table.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]

    def format(self, kind: str) -> str:
        """The table as ``'markdown'``, ``'csv'`` (without notes) or ``'latex'`` (booktabs)."""
        return {'markdown': self._markdown, 'csv': self._csv, 'latex': self._latex}[kind]()

    def _markdown(self) -> str:
        lines = [self.columns, ['---'] * len(self.columns), *self.rows]
        table = ['| ' + ' | '.join(c.replace('|', '\\|') for c in line) + ' |' for line in lines]
        return '\n'.join([f'**{self.title}**', '', *table, '', *self.notes]).rstrip()

    def _csv(self) -> str:
        stream = io.StringIO()
        csv.writer(stream, lineterminator='\n').writerows([self.columns, *self.rows])
        return stream.getvalue().rstrip('\n')

    def _latex(self) -> str:
        rows = [' & '.join(map(_latex_text, row)) + r' \\' for row in [self.columns, *self.rows]]
        return '\n'.join(
            [
                r'\begin{table}',
                rf'\caption{{{_latex_text(" ".join([self.title + ".", *self.notes]))}}}',
                rf'\begin{{tabular}}{{l{"c" * (len(self.columns) - 1)}}}',
                *(r'\toprule', rows[0], r'\midrule', *rows[1:], r'\bottomrule'),
                *(r'\end{tabular}', r'\end{table}'),
            ]
        )


def _latex_text(text: str) -> str:
    marks = {'λ': r'$\lambda$', '±': r'$\pm$', '✓': r'\checkmark', '\\': r'\textbackslash{}'}
    return ''.join(marks.get(c, f'\\{c}' if c in '&%$#_{}' else c) for c in text)


def compare(runs: Sequence[RunFigures], table: str) -> Table:
    """Put the figures of runs into a table of the paper, beside the paper's.

    Runs of the same row, which may differ only in their seed, become mean ± standard deviation.

    Args:
        runs: At least one; all on the same data.
        table: One of ``TABLES``.

    Raises:
        ValueError: If the table is unknown, the data differ, or runs of one row differ in a
            setting.
    """
    if table not in TABLES:
        raise Refusal(f'table is one of {", ".join(TABLES)}, got {table!r}')
    if len({run.data for run in runs}) != 1:
        named = ', '.join(f'{run.name} ({run.data})' for run in runs)
        raise Refusal(f'the runs are on different data, which no table compares: {named}')
    made = _ABLATIONS.get(table, _comparison)(runs, table)
    made.title = f'Table {table}: {made.title}, mIoU in %, on the data of {runs[0].data}'
    paper_data, home = ('MS COCO 2014', 'COCO') if table == '3' else ('PASCAL VOC 2012', 'VOC')
    made.notes.append(
        f'"paper": figures of SemPLeS (arXiv 2401.11791), "published": of the named method, on '
        f'{paper_data}; neither is ours.'
    )
    if home not in runs[0].data:
        made.notes.append('They are on other data than the runs and cannot be compared.')
    if table in ('1', *_ABLATIONS) and (without := [r.name for r in runs if r.last not in r.seeds]):
        made.notes.append(f'Without seeds of their last stage: {", ".join(without)}.')
    validated = [run.name for run in runs if run.from_validation]
    if validated and table in ('1', *_ABLATIONS):
        made.notes.append(
            f'Seeds of the validation during training, not of tools/test.py: '
            f'{", ".join(validated)}.'
        )
    return made


# Method, seed and mask on VOC train, VOC val and test, COCO val; as published.
_PUBLISHED = (
    ('SemPLeS', '68.7', '78.3', '74.2', '74.8', '44.9'),
    ('WeakTr', '66.2 to 69.4', '76.5', '74.0', '-', '46.9'),
    ('CLIP-ES', '70.8', '75.0', '71.1', '71.4', '45.4'),
    ('CLIMS', '57.5', '72.8', '69.3', '68.7', '-'),
)


def _comparison(runs: Sequence[RunFigures], table: str) -> Table:
    """Tables 1 to 3: runs and published methods, one row each; runs of one name share a row."""
    ours = {
        '1': ['seed', 'mask', 'labelled', ''],
        '2': ['val', ''],
        '3': ['val'],
    }[table]
    columns = {
        '1': ['seed', 'pseudo masks', 'Segmenter on labelled train', '"mask", as published'],
        '2': ['val', 'test'],
        '3': ['val'],
    }[table]
    groups: dict[str, list[RunFigures]] = {}
    for run in runs:
        groups.setdefault(run.name, []).append(run)
    rows = []
    for name, group in groups.items():
        _check_alike(group, name, group[0].last)
        cells = [
            _cell([{**run.figures, 'seed': run.seeds.get(run.last)}.get(key) for run in group])
            for key in ours
        ]
        rows.append([name, f'ours, {len(group)} run{"s" * (len(group) > 1)}', *cells])
    for method, seed, mask, val, test, coco in _PUBLISHED:
        found = {'1': [seed, '-', '-', mask], '2': [val, test], '3': [coco]}[table]
        rows.append([method, 'paper' if method == 'SemPLeS' else 'published', *found])
    title = {'1': 'seeds and masks', '2': 'segmentation', '3': 'segmentation'}[table]
    return Table(title, ['method', 'figures', *columns], rows, [])


# Of the tables of ablations: rows by key, as titles and the paper's seed mIoU on VOC train.
_TERMS = {
    'match': (['✓', '', ''], '67.6'),
    'text': (['✓', '', '✓'], '67.7'),
    'image': (['✓', '✓', ''], '67.9'),
    'all': (['✓', '✓', '✓'], '68.7'),
}
_LAMBDAS = {0.0: '67.6', 0.01: '68.3', 0.02: '68.4', 0.05: '68.7', 0.1: '67.8'}
_SCHEMES = {
    'joint': ('all losses jointly', '65.9'),
    1: ('sequential, one round', '68.7'),
    2: ('alternating, 2 rounds', '68.5'),
    3: ('alternating, 3 rounds', '68.4'),
}


def _terms(runs: Sequence[RunFigures], table: str) -> Table:
    """Table 4: the terms of the losses."""

    def place(run: RunFigures) -> tuple[Any, str]:
        terms = tuple(term for term in ('image', 'text') if run.settings[f'{term}_weight'])
        row = {('image', 'text'): 'all', ('image',): 'image', ('text',): 'text'}.get(terms)
        return row, _not_one_round(run) or ('' if row else 'its prompts are learned with no term')

    placed, notes = _placed(runs, place, match='match')
    rows = [
        [*marks, *_ours(placed.get(key, []), str(key)), paper]
        for key, (marks, paper) in _TERMS.items()
    ]
    columns = ['eq. 1', 'image term of eq. 2', 'text term of eq. 2', 'ours', 'runs', 'paper']
    return Table('loss terms, seeds', columns, rows, notes)


def _lambdas(runs: Sequence[RunFigures], table: str) -> Table:
    """Table 5: λ."""

    def place(run: RunFigures) -> tuple[Any, str]:
        return float(run.settings['λ']), _not_one_round(run) or _not_both_terms(run)

    placed, notes = _placed(runs, place, match=0.0)
    rows = [
        [f'{key:g}', *_ours(placed.get(key, []), str(key)), _LAMBDAS.get(key, '-')]
        for key in sorted({*_LAMBDAS, *placed})
    ]
    return Table('λ of eq. 3, seeds', ['λ', 'ours', 'runs', 'paper'], rows, notes)


def _schemes(runs: Sequence[RunFigures], table: str) -> Table:
    """Table 6: schemes of training."""

    def place(run: RunFigures) -> tuple[Any, str]:
        row = 'joint' if 'joint' in run.stages else run.stages.count('refine')
        return row, _not_both_terms(run) or ('' if row else 'it has no refinement')

    placed, notes = _placed(runs, place)
    rounds = sorted({1, 2, 3, *(key for key in placed if key != 'joint')})
    rows = []
    for key in ['joint', *rounds]:
        title, paper = _SCHEMES.get(key, (f'alternating, {key} rounds', '-'))
        rows.append([title, *_ours(placed.get(key, []), str(key)), paper])
    return Table('schemes of training, seeds', ['scheme', 'ours', 'runs', 'paper'], rows, notes)


_ABLATIONS: Mapping[str, Callable[[Sequence[RunFigures], str], Table]] = {
    '4': _terms,
    '5': _lambdas,
    '6': _schemes,
}


def _not_one_round(run: RunFigures) -> str:
    one = run.stages.count('refine') == 1 and 'joint' not in run.stages
    return '' if one else 'it is not trained in one round'


def _not_both_terms(run: RunFigures) -> str:
    both = run.settings['image_weight'] and run.settings['text_weight']
    return '' if both else 'its prompts are learned with one term of eq. 2'


def _placed(
    runs: Sequence[RunFigures],
    place: Callable[[RunFigures], tuple[Any, str]],
    match: Any = None,
) -> tuple[dict[Any, list[tuple[RunFigures, str]]], list[str]]:
    """Runs by row, each with the stage whose seeds count, and notes on runs that have no row.

    Args:
        runs: The runs.
        place: The row of a run, or the reason why it has none.
        match: Row of matching alone, if the table has one. If no run ends with matching, it gets
            the seeds of the other runs after matching.
    """
    placed: dict[Any, list[tuple[RunFigures, str]]] = {}
    notes = []
    for run in runs:
        row, reason = place(run)
        if run.last == _MATCH:
            row, reason = match, '' if match is not None else 'it ends with matching'
        if reason:
            notes.append(f'Left out: {run.name}, {reason}.')
        else:
            placed.setdefault(row, []).append((run, run.last))
    if match is not None and match not in placed:
        # Runs that share their matching, and so its figure, count once.
        once = {run.seeds[_MATCH]: run for run in runs if _MATCH in run.seeds}
        if once:
            placed[match] = [(run, _MATCH) for run in once.values()]
    return placed, notes


def _ours(entries: Sequence[tuple[RunFigures, str]], row: str) -> list[str]:
    """Cells "ours" and "runs" of a row."""
    for stage in {stage for _, stage in entries}:
        _check_alike([run for run, at in entries if at == stage], row, stage)
    seeds = [run.seeds[stage] for run, stage in entries if stage in run.seeds]
    return [_cell(seeds), str(len(seeds))]


def _cell(values: Sequence[float | None]) -> str:
    """A figure, or mean ± standard deviation of several."""
    known = [value for value in values if value is not None]
    spread = f' ± {stdev(known):.1f}' if len(known) > 1 else ''
    return f'{mean(known):.1f}{spread}' if known else '-'


def _check_alike(runs: Sequence[RunFigures], row: str, stage: str) -> None:
    """Do not average runs that differ in more than their seed."""
    keys = ('match_loss', 'generator') if stage == _MATCH else tuple(runs[0].settings)
    for run in runs[1:]:
        for key in keys:
            here, there = runs[0].settings[key], run.settings[key]
            if here != there:
                raise Refusal(
                    f'{runs[0].name} and {run.name} belong to the same row ({row}), but differ in '
                    f'{key}: {here} and {there}. Compare them in tables of their own'
                )
