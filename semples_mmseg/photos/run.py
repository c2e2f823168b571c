"""The files of a run on your own photos.

===================== =============================================================================
``run.json``          photos, tags, classes and recipe
``data/``             ``list.txt``, ``labels.json``, ``classes.txt``: a ``WeakLabelDataset``;
                      ``sizes.json``, so that photos are checked once
``configs/``          ``semples.py`` and ``segmenter.py``, which ``tools/train.py`` reruns
``semples/``          work folder of the stages: ``classify.pth`` ... ``refine.pth``, stages.json
``masks/``            the pseudo masks, in the photos' folder tree, with ``classes.json``
``predictions/``      predictions of the Segmenter for the same photos
``confidence.csv``    for every photo and tag, how reliable its mask is
``segmenter/``        work folder of the retraining
``model/``            ``segmenter.py``, ``segmenter.pth``, ``segmenter.onnx``, ``classes.json``
``overlays/``         with ``--overlays``: the pseudo masks over their photos
``logs/``             the output of every step
``report.html``       written by ``semples-mmseg report``
===================== =============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.classes import people_name
from ..utils.errors import Missing
from ..utils.files import read_json
from ..utils.io import write_json
from ..utils.lists import read_image_ids, read_label_file

_RECORD = 'run.json'


@dataclass(frozen=True)
class Run:
    """The folder of a run.

    Attributes:
        folder: The folder itself; the paths of its content are properties.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open the run in a folder.

        Raises:
            FileNotFoundError: If the folder holds none.
        """
        if not (folder / _RECORD).is_file():
            raise Missing(
                f'{folder} holds no run ({_RECORD} is missing): give the folder that was '
                '--out of semples-mmseg fit'
            )
        return cls(folder)

    @property
    def exists(self) -> bool:
        """Whether a run was begun in the folder."""
        return (self.folder / _RECORD).is_file()

    def read(self) -> dict[str, Any]:
        """Content of ``run.json``.

        Keys: ``version`` of the package; ``photos``, the folder, and ``tags``, the table or None,
        as absolute paths; ``form`` of the table; ``classes`` as they were written
        (``person|player``); ``weights`` (``'pretrained'``, ``'demo'``); ``seed``; ``recipe``.
        """
        return read_json(self.folder / _RECORD)

    def write(self, record: dict[str, Any]) -> None:
        """Write ``run.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / _RECORD, record, ensure_ascii=False)

    @property
    def data(self) -> Path:
        """Folder of the list of photos and of their labels."""
        return self.folder / 'data'

    def labels(self) -> dict[str, list[str]]:
        """Class names of every photo that is trained on, by its id, in the order of the list."""
        labels = read_label_file(str(self.data / 'labels.json'))
        return {photo: labels[photo] for photo in read_image_ids(str(self.data / 'list.txt'))}

    def class_names(self) -> list[str]:
        """Names of the object classes, for people; their ids in masks begin with 1."""
        return [people_name(name) for name in self.read()['classes']]

    @property
    def semples_config(self) -> Path:
        """Config of stages and CAMs."""
        return self.folder / 'configs' / 'semples.py'

    @property
    def segmenter_config(self) -> Path:
        """Config of the retraining."""
        return self.folder / 'configs' / 'segmenter.py'

    @property
    def semples(self) -> Path:
        """Work folder of the stages."""
        return self.folder / 'semples'

    def stage_file(self, stage: str) -> Path:
        """Weights at the end of a stage (``'classify'`` ... ``'refine'``)."""
        return self.semples / f'{stage}.pth'

    @property
    def masks(self) -> Path:
        """Folder of the pseudo masks."""
        return self.folder / 'masks'

    @property
    def overlays(self) -> Path:
        """Folder of the pseudo masks over their photos."""
        return self.folder / 'overlays'

    @property
    def predictions(self) -> Path:
        """Folder of the Segmenter's label maps of the same photos."""
        return self.folder / 'predictions'

    @property
    def confidence(self) -> Path:
        """Table of the confidence of each photo's tags."""
        return self.folder / 'confidence.csv'

    @property
    def segmenter(self) -> Path:
        """Work folder of the retraining."""
        return self.folder / 'segmenter'

    @property
    def model(self) -> Path:
        """Folder of the finished model: config, checkpoint, ONNX file and classes."""
        return self.folder / 'model'

    @property
    def logs(self) -> Path:
        """Folder of the output of the steps."""
        return self.folder / 'logs'

    @property
    def report(self) -> Path:
        """The report, a web page."""
        return self.folder / 'report.html'
