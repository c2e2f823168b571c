"""The weakly tagged set of the demo world on disk, laid out like PASCAL VOC."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from mmengine.logging import MMLogger
from PIL import Image

from .scenes import Scene, scene_rng, tagged_scene
from .vocabulary import OBJECTS, PALETTE

VERSION = 1
"""Raised whenever the drawing changes, so that an older set on disk is not taken for a new one."""

META_FILE = 'meta.json'


def _label_map(scene: Scene) -> Image.Image:
    """The scene's mask as an 8-bit palette image: 0 background, 1..6 objects."""
    labels = np.where(scene.regions < len(OBJECTS), scene.regions + 1, 0).astype(np.uint8)
    image = Image.fromarray(labels, mode='P')
    image.putpalette([value for colour in PALETTE for value in colour])
    return image


def _write(root: Path, settings: dict) -> None:
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets'):
        (root / folder).mkdir()
    tags = {}
    for split in ('train', 'val'):
        names = [f'{split}_{index:05d}' for index in range(settings[split])]
        for index, name in enumerate(names):
            scene = tagged_scene(scene_rng(settings['seed'], split, index))
            # PNG although the folder is VOC's: JPEG would blur what is only 64 pixels wide.
            Image.fromarray(scene.image).save(root / 'JPEGImages' / f'{name}.png')
            _label_map(scene).save(root / 'SegmentationClass' / f'{name}.png')
            tags[name] = [OBJECTS[k] for k in sorted(scene.objects)]
        (root / 'ImageSets' / f'{split}.txt').write_text('\n'.join(names) + '\n')
    (root / 'labels.json').write_text(json.dumps(tags, indent=0) + '\n')
    (root / META_FILE).write_text(json.dumps(settings) + '\n')


def check_demo_set(root: str | os.PathLike, settings: dict) -> bool:
    """Whether ``root`` holds the set of ``settings``.

    Args:
        root: Folder of the set.
        settings: ``seed``, ``train``, ``val`` and ``version``.

    Returns:
        False when ``root`` is missing or empty, true when it holds this very set.

    Raises:
        FileExistsError: If ``root`` holds something else, or a set of other settings.
    """
    root = Path(root)
    if not root.is_dir() or not any(root.iterdir()):
        return False
    try:
        found = json.loads((root / META_FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        raise FileExistsError(
            f'{root} exists but is not a demo set (no readable {META_FILE}); '
            'choose another data_root or move the folder away'
        ) from None
    if found != settings:
        raise FileExistsError(
            f'{root} holds a demo set made with {found}, not {settings}; '
            'delete the folder to have it made again, or choose another data_root'
        )
    return True


def make_demo_set(root: str | os.PathLike, seed: int = 0, train: int = 600, val: int = 200) -> Path:
    """Draw the weakly tagged set, unless it is there already.

    ``<root>/JPEGImages/*.png``, ``<root>/SegmentationClass/*.png`` (8-bit palette, for evaluation
    only), ``<root>/labels.json`` ({image id: [class name, ...]}), ``<root>/ImageSets/train.txt``
    and ``val.txt``, ``<root>/meta.json``. The set appears at once, complete: it is built beside
    ``root`` and renamed, so any number of processes may call this together.

    Args:
        root: Folder of the set.
        seed: The same seed draws the same scenes, whatever the sizes.
        train: Scenes to train on.
        val: Held-out scenes.

    Returns:
        ``root``.

    Raises:
        FileExistsError: If ``root`` holds something else, or a set of other settings.
        ValueError: If ``train`` or ``val`` is below 1, or ``seed`` negative.
    """
    if train < 1 or val < 1 or seed < 0:
        raise ValueError(
            f'a demo set needs train >= 1, val >= 1 and seed >= 0, got {train=}, {val=}, {seed=}'
        )
    root = Path(root)
    settings = dict(version=VERSION, seed=seed, train=train, val=val)
    if check_demo_set(root, settings):
        return root
    MMLogger.get_current_instance().info(f'drawing {train + val} demo scenes into {root}')
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f'.{root.name}.') as folder:
        built = Path(folder) / root.name
        built.mkdir()
        _write(built, settings)
        try:
            built.rename(root)
        except OSError:
            # Another process was faster; its set is as good, if it is the same.
            if not check_demo_set(root, settings):
                raise
    return root
