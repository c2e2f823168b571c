"""Both small models from one seed, checked and written to disk."""

import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from mmengine.logging import MMLogger

from projects.demo_world.pretraining.backbone import train_backbone
from projects.demo_world.pretraining.checks import GOALS, check_backbone, check_tiny_clip
from projects.demo_world.pretraining.clip import train_clip
from semples_mmseg.demo.models import (
    BACKBONE_FILE,
    CLIP_FILE,
    REPORT_FILE,
    demo_clip_config,
    save_demo_clip,
    save_half,
)
from semples_mmseg.utils.io import atomic_write

CHECK_SEED = 1_000_003
"""Seed of the scenes the checks look at; no pretraining seed should equal it."""


def make_clip(seed: int, folder: Path, **options: int) -> dict[str, float]:
    """Train, check and write the tiny CLIP.

    Args:
        seed: Pretraining seed.
        folder: Where ``demo_clip.safetensors`` goes.
        **options: ``scenes`` and ``steps`` of :func:`train_clip`.

    Returns:
        The results of :func:`.checks.check_clip`.
    """
    torch.set_num_threads(1)
    trained = train_clip(seed, **options)
    size = demo_clip_config()['text_cfg']['vocab_size']
    save_demo_clip(trained.model.state_dict(), trained.rows, size, folder / CLIP_FILE)
    return check_tiny_clip(trained, CHECK_SEED)


def make_backbone(seed: int, folder: Path, **options: int) -> dict[str, float]:
    """Train, check and write the backbone; its tag classifiers are left out of the file.

    Args:
        seed: Pretraining seed.
        folder: Where ``demo_backbone.safetensors`` goes.
        **options: ``photos`` and ``epochs`` of :func:`train_backbone`.

    Returns:
        The results of :func:`.checks.check_backbone`.
    """
    torch.set_num_threads(1)
    trained = train_backbone(seed, **options)
    save_half(trained.backbone.state_dict(), folder / BACKBONE_FILE)
    return check_backbone(trained, CHECK_SEED)


def make_demo_models(
    seed: int,
    folder: str | os.PathLike,
    clip_options: dict[str, int] | None = None,
    backbone_options: dict[str, int] | None = None,
) -> dict[str, float]:
    """Make ``demo_clip.safetensors``, ``demo_backbone.safetensors`` and ``demo_models.json``.

    The two trainings share nothing and run side by side, one thread each: on two cores that is
    faster than one after the other with two threads, and the result depends on no thread count.

    Args:
        seed: Pretraining seed; decides data, initial weights and order of everything.
        folder: Where the three files go; made if need be.
        clip_options: Options of :func:`train_clip`, for shorter runs.
        backbone_options: Options of :func:`train_backbone`, for shorter runs.

    Returns:
        Check -> accuracy, also in the JSON file.

    Raises:
        ValueError: If ``seed`` is negative or the one the checks use.
    """
    if seed < 0 or seed == CHECK_SEED:
        raise ValueError(f"seed has to be >= 0 and not {CHECK_SEED} (the checks'), got {seed}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        jobs = [
            pool.submit(make_backbone, seed, folder, **(backbone_options or {})),
            pool.submit(make_clip, seed, folder, **(clip_options or {})),
        ]
        measured = {name: value for job in jobs for name, value in job.result().items()}
    logger = MMLogger.get_current_instance()
    for name, goal in GOALS.items():
        verdict = 'reached' if measured[name] >= goal else 'MISSED'
        logger.info(f'{name}: {measured[name]:.3f} (goal {goal}: {verdict})')
    report = dict(
        seed=seed,
        seconds=round(time.monotonic() - start),
        checks={name: round(measured[name], 4) for name in GOALS},
    )
    with atomic_write(folder / REPORT_FILE) as file:
        json.dump(report, file, indent=4)
        file.write('\n')
    return measured
