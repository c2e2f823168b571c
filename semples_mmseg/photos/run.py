"""The files of a run on your own photos; docs/own_photos.md lists them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..utils.classes import label_name
from ..utils.errors import Missing, Refusal
from ..utils.images import PHOTO_SUFFIXES
from ..utils.label_png import mask_path
from ..utils.lists import image_ids
from ..utils.names import count, is_image_id
from ..utils.record import RECORD, Entry, Record
from .settings import FitSettings

ENTRY = 'run'
"""Entry of the record with photos, tags, classes and settings."""
CORRECTED = 'corrected'
"""Entry of the masks that were corrected by hand."""
PHOTOS = 'photos/'
"""Begin of the names of photos among the inputs of this entry."""


class Run:
    """The folder of a run; its files are attributes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / 'data'
        self.semples_config = folder / 'configs' / 'semples.py'
        self.segmenter_config = folder / 'configs' / 'segmenter.py'
        self.semples = folder / 'semples'
        self.masks = folder / 'masks'
        self.corrected = folder / 'corrected'
        self.retrained = folder / 'retrained'
        self.overlays = folder / 'overlays'
        self.predictions = folder / 'predictions'
        self.confidence = folder / 'confidence.csv'
        self.segmenter = folder / 'segmenter'
        self.segmenter_weights = self.segmenter / 'weights.pth'
        self.model = folder / 'model'
        self.logs = folder / 'logs'
        self.report = folder / 'report.html'

    def __repr__(self) -> str:
        return f'Run({str(self.folder)!r})'

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open the run in a folder; raise ``Missing`` if it holds none."""
        run = cls(folder)
        run.entry()
        return run

    def record(self, way: str = 'choose another --out') -> Record:
        """The record of the run as it is now; ``way`` as of ``Record``."""
        return Record(self.folder, way)

    def made_by_hand(self) -> dict[str, float]:
        """Photos with an imported mask, and which share of its pixels is another in ``masks``."""
        record = self.record()
        masks = record[CORRECTED].about['masks'] if CORRECTED in record else {}
        there = (name for name in masks if mask_path(self.corrected, name).is_file())
        return {name: masks[name] for name in there}

    def entry(self) -> Entry:
        """What the run was made from; ``Missing`` if there is no run.

        Settings: ``classes`` as they were written (``person|player``), ``labels`` (class names of
        every photo by its id), ``weights``, ``seed``, ``epochs``. Inputs: photos and weights.
        About: ``version``, ``photos`` (absolute path of the folder), ``form`` of the tag table,
        ``fit`` (``FitSettings``), ``sizes`` (height and width of the photos).
        """
        record = self.record()
        if ENTRY not in record:
            raise Missing(
                f'{self.folder} holds no run ({RECORD} has no entry {ENTRY!r}): give the folder '
                'that was --out of semples-mmseg fit'
            )
        entry = record[ENTRY]
        if key := _wrong_key(entry):
            raise Refusal(
                f'{record.file} is damaged: {key} of the entry {ENTRY!r} is not what semples-mmseg '
                'fit has written. Restore the file, or begin the run anew'
            )
        return entry

    def known_sizes(self, photos: Path) -> dict[str, tuple[int, int]]:
        """Height and width of the photos below a folder that are as when the run was begun."""
        record = self.record()
        if ENTRY not in record:
            return {}
        sizes = record[ENTRY].about['sizes']
        same = record.unchanged(ENTRY, {f'{PHOTOS}{name}': photos / name for name in sizes})
        return {name: (h, w) for name, (h, w) in sizes.items() if f'{PHOTOS}{name}' in same}

    def fit_settings(self) -> FitSettings:
        """The settings of the trainings."""
        try:
            return FitSettings.from_json(self.entry().about['fit'])
        except (KeyError, TypeError, AttributeError) as error:
            raise Refusal(f'{self.folder / RECORD} is damaged: about.fit ({error!r})') from None

    def class_names(self) -> list[str]:
        """Names of the object classes in labels and masks; their ids in masks begin with 1."""
        return [label_name(name) for name in self.entry().settings['classes']]

    def labels(self) -> dict[str, list[str]]:
        """Class names of every photo that is trained on, by its id, in the order of the list."""
        return self.entry().settings['labels']

    def photo_paths(
        self, ids: Iterable[str] | None = None, folder: Path | None = None
    ) -> dict[str, Path]:
        """Files of photos by their ids, all by default; ``folder`` has them if it was moved."""
        entry = self.entry()
        root = Path(folder or entry.about['photos'])
        names = [name.removeprefix(PHOTOS) for name in entry.inputs if name.startswith(PHOTOS)]
        paths = {image_id: root / name for name, image_id in image_ids(names).items()}
        paths = {image_id: paths[image_id] for image_id in (paths if ids is None else ids)}
        if missing := [path for path in paths.values() if not path.is_file()]:
            raise Missing(
                f'not in {root} any more: {count(len(missing), "photo")} of {self.folder}, such as '
                f'{missing[0]}. Put them back, or name their folder by --photos FOLDER'
            )
        return paths

    def stage_file(self, stage: str) -> Path:
        """Weights at the end of a stage (``'classify'`` ... ``'refine'``)."""
        return self.semples / f'{stage}.pth'


def _wrong_key(entry: Entry) -> str | None:
    """The first key of the entry of a run whose value cannot be used."""
    classes, labels = (entry.settings.get(key) for key in ('classes', 'labels'))
    if not _are_texts(classes) or not classes:
        return 'settings.classes'
    if not isinstance(labels, dict) or not all(map(_are_texts, labels.values())):
        return 'settings.labels'
    names = [name.removeprefix(PHOTOS) for name in entry.inputs if name.startswith(PHOTOS)]
    photos = [n for n in names if is_image_id(n) and Path(n).suffix.lower() in PHOTO_SUFFIXES]
    if names != photos:
        return 'inputs'  # an export copies these files
    tags = {tag for tags in labels.values() for tag in tags}
    if tags - {*map(label_name, classes)} or labels.keys() != {*image_ids(names).values()}:
        return 'settings.labels'
    if not isinstance(entry.about.get('photos'), str):
        return 'about.photos'
    sizes = entry.about.get('sizes')
    if not isinstance(sizes, dict) or any(
        not isinstance(size, list) or [*map(type, size)] != [int, int] for size in sizes.values()
    ):
        return 'about.sizes'
    return None if isinstance(entry.about.get('fit'), dict) else 'about.fit'


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
