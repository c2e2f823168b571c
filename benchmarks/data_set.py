"""The paths that go through a data set on disk: the threshold curve and the CRF."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from semples_mmseg.masks.refinement import DenseCRF
from semples_mmseg.masks.threshold_curve import SWEEP, ThresholdCurve
from semples_mmseg.masks.writer import write_refined
from semples_mmseg.models.soft_masks import label_map, min_max
from semples_mmseg.utils.label_png import read_mask, write_mask
from semples_mmseg.utils.parallel import WorkerPool

from .cams import image_sizes
from .models import draw_labels
from .setting import Setting, Side
from .textbook.crf import all_class_crf
from .textbook.threshold import threshold_curve

NUM_OBJECTS = 20
BACKGROUND_SCORE = 0.43


class DataSet:
    """Images, CAMs and ground truth of VOC's sizes; drawn once, read by both sides.

    CAMs are random 12 x 12 grids enlarged, the ground truth is another such map's labels, images
    are the CAMs' colours with noise on top: smooth with edges, as the CRF's cost depends on how
    many colours there are. ``present`` are the object classes of each image, 0-based.
    """

    def __init__(self, setting: Setting) -> None:
        self.folder = Path(setting.folder)
        labels = draw_labels(setting.images, NUM_OBJECTS)
        self.names = [f'{index:05d}' for index in range(setting.images)]
        self.present = [np.flatnonzero(row) for row in labels]
        for index, size in enumerate(image_sizes(setting)):
            if not self.file('truth', index).exists():  # the last of an image's files
                self._draw(index, size)

    def file(self, kind: str, index: int) -> Path:
        """Path of an image's ``cams``, ``image`` or ``truth``."""
        ending = 'npz' if kind == 'cams' else 'png'
        return self.folder / f'{kind}_{self.names[index]}.{ending}'

    def _draw(self, index: int, size: tuple[int, int]) -> None:
        draw = torch.Generator().manual_seed(index)
        classes = torch.from_numpy(self.present[index])
        grids = torch.rand(2, len(classes), 12, 12, generator=draw)
        cams, other = min_max(F.interpolate(grids, size, mode='bilinear'), 1e-8)
        truth = label_map((cams + other) / 2, classes, BACKGROUND_SCORE).to(torch.uint8)
        truth[:, -8:] = 255
        colours = torch.rand(3, len(classes), generator=draw) * 200
        noise = torch.randint(0, 32, (*size, 3), generator=draw)
        pixels = torch.einsum('cn,nhw->hwc', colours, cams / len(classes)) + noise
        np.savez(self.file('cams', index), cams=cams.numpy(), classes=classes.numpy())
        Image.fromarray(pixels.to(torch.uint8).numpy()).save(self.file('image', index))
        write_mask(self.file('truth', index), truth.numpy())

    def cams(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """CAMs (n, H, W) and classes (n,) of an image, read from its file."""
        with np.load(self.file('cams', index)) as data:
            return data['cams'], data['classes']

    def label(self, index: int) -> np.ndarray:
        """Label map of an image's CAMs, uint8."""
        cams, classes = (torch.from_numpy(array) for array in self.cams(index))
        return label_map(cams, classes, BACKGROUND_SCORE).to(torch.uint8).numpy()


class OurCurve(Side):
    """One pass over all CAM files."""

    def __init__(self, setting: Setting) -> None:
        self.data = DataSet(setting)

    def __call__(self) -> np.ndarray:
        """mIoU at each background score."""
        curve = ThresholdCurve(NUM_OBJECTS)
        for index in range(len(self.data.names)):
            cams, classes = (torch.from_numpy(array) for array in self.data.cams(index))
            truth = torch.from_numpy(read_mask(self.data.file('truth', index)))
            curve.update(cams, classes, truth)
        return curve.scores()['mIoU']


class TextbookCurve(Side):
    """One pass over all CAM files for each background score."""

    def __init__(self, setting: Setting) -> None:
        data, count = DataSet(setting), range(setting.images)
        self.files = [[data.file(kind, index) for index in count] for kind in ('cams', 'truth')]

    def __call__(self) -> np.ndarray:
        """mIoU at each background score."""
        return threshold_curve(*self.files, NUM_OBJECTS, SWEEP)


class _CRF(Side):
    """Label maps to be refined and written as masks; VOC's published numbers."""

    def __init__(self, setting: Setting) -> None:
        self.data = DataSet(setting)
        self.refine = DenseCRF('voc')
        self.labels = [self.data.label(index) for index in range(setting.images)]
        self.out = self.data.folder / type(self).__name__

    def masks(self) -> list[np.ndarray]:
        """What the last call has written."""
        return [read_mask(self.out / f'{name}.png') for name in self.data.names]


class OurCRF(_CRF):
    """Present labels, in worker processes; with one process in this one."""

    def __init__(self, setting: Setting, processes: int | None = None) -> None:
        super().__init__(setting)
        self.processes = setting.processes if processes is None else processes
        self.out = self.out.with_name(f'{self.out.name}{self.processes}')
        self.write = partial(write_refined, refine=self.refine, palette=())
        self.pool: WorkerPool | None = None
        self.tasks = []
        for index, (name, label) in enumerate(zip(self.data.names, self.labels, strict=True)):
            sample = dict(
                img_id=name,
                img_path=str(self.data.file('image', index)),
                cam_classes=self.data.present[index],
            )
            self.tasks.append((self.out / f'{name}.png', label, label.shape, sample))

    def prepare(self) -> None:
        """Start the workers: a whole data set pays for that once."""
        if self.processes > 1 and self.pool is None:
            self.pool = WorkerPool(self.write, self.processes)
            for task in self.tasks[: 2 * self.processes]:
                self.pool.put(*task)
            self.pool.wait()

    def __call__(self) -> None:
        """Write all masks."""
        for task in self.tasks:
            if self.pool is None:
                self.write(*task)
            else:
                self.pool.put(*task)
        if self.pool is not None:
            self.pool.wait()

    def close(self) -> None:
        """End the workers."""
        if self.pool is not None:
            self.pool.close()


class TextbookCRF(_CRF):
    """All classes, in one process."""

    def __call__(self) -> None:
        """Write all masks."""
        for index, name in enumerate(self.data.names):
            image = np.array(Image.open(self.data.file('image', index)))
            present = (self.data.present[index] + 1).tolist()
            label = all_class_crf(
                image, self.labels[index], present, NUM_OBJECTS + 1, self.refine.parameters
            )
            write_mask(self.out / f'{name}.png', label)
