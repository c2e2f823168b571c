"""The weakly tagged set of the demo world on disk, laid out like PASCAL VOC."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

from ...utils.errors import AlreadyThere, Refusal
from ...utils.label_png import write_mask
from .scenes import scene_rng, tagged_scene
from .vocabulary import OBJECTS, PALETTE

VERSION = 1
"""Increased when the drawing changes, so that an older set on disk is not used as a new one."""
SETTINGS_FILE = 'meta.json'


def make_demo_set(root: str | os.PathLike, seed: int = 0, train: int = 600, val: int = 200) -> Path:
    """Draw the set, unless it exists.

    Several processes may call this at once: the set is drawn into a temporary folder, which is
    then renamed.

    Args:
        root: Folder of the set. It gets ``JPEGImages/*.png``, ``SegmentationClass/*.png`` (8-bit
            palette, for evaluation only), ``labels.json`` ({image id: [class name, ...]}),
            ``ImageSets/train.txt``, ``ImageSets/val.txt`` and ``meta.json``.
        seed: Seed of the scenes, >= 0; they do not depend on ``train`` and ``val``.
        train: Number of training scenes, >= 1.
        val: Number of held-out scenes, >= 1.

    Raises:
        AlreadyThere: If ``root`` holds something else, or a set of other settings.
    """
    if train < 1 or val < 1 or seed < 0:
        raise Refusal(
            f'a demo set needs train >= 1, val >= 1 and seed >= 0, got {train=}, {val=}, {seed=}'
        )
    root = Path(root)
    settings = dict(version=VERSION, seed=seed, train=train, val=val)
    if _exists(root, settings):
        return root
    MMLogger.get_current_instance().info(f'drawing {train + val} demo scenes into {root}')
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}.') as folder:
        drawn = Path(folder) / root.name
        _draw(drawn, settings)
        try:
            drawn.rename(root)
        except OSError:
            # Another process may have drawn the same set meanwhile.
            if not _exists(root, settings):
                raise
    return root


def _exists(root: Path, settings: dict[str, int]) -> bool:
    """Whether the folder holds this set; ``FileExistsError`` if it holds anything else."""
    if not root.is_dir() or not any(root.iterdir()):
        return False
    try:
        found = json.loads((root / SETTINGS_FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        raise AlreadyThere(
            f'{root} exists but is not a demo set (it has no readable {SETTINGS_FILE}); '
            'choose another data_root or move the folder away'
        ) from None
    if found != settings:
        raise AlreadyThere(
            f'{root} holds a demo set made with {found}, not {settings}; '
            'delete the folder so that it is drawn again, or choose another data_root'
        )
    return True


def _draw(root: Path, settings: dict[str, int]) -> None:
    for name in ('JPEGImages', 'SegmentationClass', 'ImageSets'):
        (root / name).mkdir(parents=True)
    tags = {}
    for split in ('train', 'val'):
        names = [f'{split}_{index:05d}' for index in range(settings[split])]
        for index, name in enumerate(names):
            scene = tagged_scene(scene_rng(settings['seed'], split, index))
            # PNG in spite of the folder's name, because JPEG blurs images of 64 pixels.
            Image.fromarray(scene.image).save(root / 'JPEGImages' / f'{name}.png')
            labels = np.where(scene.regions < len(OBJECTS), scene.regions + 1, 0).astype(np.uint8)
            write_mask(root / 'SegmentationClass' / f'{name}.png', labels, PALETTE)
            tags[name] = [OBJECTS[k] for k in sorted(scene.objects)]
        (root / 'ImageSets' / f'{split}.txt').write_text('\n'.join(names) + '\n')
    (root / 'labels.json').write_text(json.dumps(tags, indent=0) + '\n')
    (root / SETTINGS_FILE).write_text(json.dumps(settings) + '\n')
