"""The configs of a run: ordinary configs of MMSegmentation, also for ``tools/train.py``."""

from __future__ import annotations

import pprint
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..utils.classes import people_name
from ..utils.io import atomic_write
from .recipe import Recipe
from .run import Run

DEIT = 'timm:deit_small_patch16_224.fb_in1k'
_BASES = {
    'demo': (['semples/demo_refine.py'], ['segmenter/segmenter_demo.py']),
    'pretrained': (
        ['semples/voc_refine.py', '_base_/schedules/stage_0.py'],
        ['segmenter/segmenter_deit-s_voc12.py'],
    ),
}


def write_configs(
    run: Run, photos: Path, classes: Sequence[str], suffixes: Sequence[str], recipe: Recipe
) -> None:
    """Write ``configs/semples.py`` and ``configs/segmenter.py``.

    Args:
        run: The run.
        photos: Folder of the photos.
        classes: Class names as they were written (``person|player``).
        suffixes: Suffixes of the photos; ``''`` for ids that include the suffix.
        recipe: Settings and lengths of the trainings.
    """
    common = dict(
        class_names=list(classes),
        data_root=str(run.data.resolve()),
        photos=str(photos.resolve()),
        suffixes=list(suffixes),
        num_workers=recipe.workers,
        test_batch=recipe.test_batch,
    )
    semples, segmenter = _BASES[recipe.weights]
    named = dict(common, stage_settings=_stages(recipe))
    _write(run.semples_config, semples, named, _semples_parts(recipe))
    named = dict(
        common,
        class_names=[people_name(name) for name in classes],
        masks=str(run.masks.resolve()),
        epochs=recipe.segmenter.epochs,
        batch_size=recipe.segmenter.batch,
    )
    _write(run.segmenter_config, segmenter, named, _segmenter_parts(recipe))


def _stages(recipe: Recipe) -> dict[str, dict[str, int]]:
    return {
        name: dict(epochs=work.epochs, batch_size=work.batch)
        for name, work in recipe.stages.items()
    }


_HEADER = '''"""{title} on your own photos, written by semples-mmseg fit.

python tools/train.py {name}
"""

_base_ = {bases}
'''

_SEMPLES = """
custom_imports = {imports}
randomness = dict(seed={seed})
dataset = dict(
    _delete_=True,
    type='WeakLabelDataset',
    data_root=data_root,
    ann_file='list.txt',
    label_file='labels.json',
    class_names=class_names,
    data_prefix=dict(img_path=photos),
    img_suffix=suffixes,
)
workers = dict(num_workers=num_workers, persistent_workers=num_workers > 0)
cams = dict(type='PackWeakInputs', scales=(1.0, 1.2))
test_pipeline = [_base_.load_test_image, _base_.limit_side, cams]
train_dataloader = dict(**workers, dataset=dict(**dataset, pipeline={train_pipeline}))
pseudo_mask_dataloader = dict(
    batch_size=test_batch,
    **workers,
    dataset=dict(**dataset, pipeline=[_base_.load_image, _base_.limit_side, cams], test_mode=True),
)
test_dataloader = dict(
    batch_size=test_batch,
    **workers,
    dataset=dict(**dataset, pipeline=test_pipeline, test_mode=True),
)
pseudo_mask_evaluator = dict(_delete_=True, background_score='auto'{refine})
# There are no masks to validate by.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_evaluator = dict(_delete_=True, type='PredictionMetric')
model = dict(class_names=class_names{model})
"""

_DEMO_STAGES = """
stages = [dict(stage, **stage_settings[stage['name']]) for stage in _base_.stages]
"""

# The learning rates are those of the published configs, in proportion to the batch.
_PRETRAINED_STAGES = """
rates = dict(classify=6e-4, match=5.12e-4, prompt=0.1, refine=5.12e-4)
stages = [
    dict(
        stage,
        **stage_settings[stage['name']],
        optim_wrapper=dict(
            optimizer=dict(
                lr=rates[stage['name']] * stage_settings[stage['name']]['batch_size'] / 512
            )
        ),
    )
    for stage in [_base_.stage_0] + _base_.stages
]
total = stage_settings['classify']['epochs']
stages[0]['param_scheduler'] = dict(
    _base_.stage_0['param_scheduler'], total=total, warmup=min(5, total - 1)
)
"""

_SEGMENTER = """
custom_imports = {imports}
randomness = dict(seed={seed})
dataset = dict(
    _delete_=True,
    type='CheckedSegDataset',
    data_root=data_root,
    ann_file='list.txt',
    class_names=class_names,
    img_suffix=suffixes,
)
workers = dict(num_workers=num_workers, persistent_workers=num_workers > 0)
train_dataloader = dict(
    batch_size=batch_size,
    **workers,
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path=photos, seg_map_path=masks),
        pipeline=_base_.train_pipeline,
    ),
)
test_pipeline = [
    step for step in _base_.test_pipeline if step['type'] != 'LoadCheckedAnnotations'
]
test_dataloader = dict(
    batch_size=test_batch,
    **workers,
    dataset=dict(
        **dataset, data_prefix=dict(img_path=photos), pipeline=test_pipeline, test_mode=True
    ),
)
# There are no masks to validate by.
val_dataloader = None
val_cfg = None
val_evaluator = None
test_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
param_scheduler = dict(end=epochs)
default_hooks = dict(checkpoint=dict(interval=max(epochs // 5, 1)))
model = dict(class_names=class_names{model})
"""


def _semples_parts(recipe: Recipe) -> str:
    demo = recipe.weights == 'demo'
    parts = dict(
        imports=_imports(demo),
        seed=recipe.seed,
        refine=", refine=dict(type='DenseCRF', preset='voc')" if recipe.crf else '',
    )
    if demo:
        resize = "dict(type='Resize', scale=(64, 64))"
        flip = "dict(type='RandomFlip', prob=0.5)"
        pipeline = f"[_base_.load_image, {resize}, {flip}, dict(type='PackWeakInputs')]"
        return _SEMPLES.format(**parts, train_pipeline=pipeline, model='') + _DEMO_STAGES
    backbone = f'weights:{recipe.backbone}' if recipe.backbone else DEIT
    init = f"dict(type='Pretrained', checkpoint={backbone!r})"
    generator = f', mask_generator=dict(init_cfg=None, backbone=dict(init_cfg={init}))'
    clip = f', clip=dict(pretrained={recipe.clip!r})' if recipe.clip else ''
    text = _SEMPLES.format(
        **parts, train_pipeline='_base_.stage_match_pipeline', model=generator + clip
    )
    return text + _PRETRAINED_STAGES


def _segmenter_parts(recipe: Recipe) -> str:
    model = ''
    if recipe.weights == 'pretrained':
        backbone = f'weights:{recipe.backbone}' if recipe.backbone else DEIT
        model = f', backbone=dict(init_cfg=dict(checkpoint={backbone!r}))'
    imports = _imports(recipe.weights == 'demo')
    return _SEGMENTER.format(imports=imports, seed=recipe.seed, model=model)


def _imports(demo: bool) -> str:
    modules = ['semples_mmseg', *(['semples_mmseg.demo'] if demo else [])]
    return f'dict(imports={modules!r}, allow_failed_imports=False)'


def _write(path: Path, bases: Sequence[str], named: dict[str, Any], body: str) -> None:
    title = 'The Segmenter' if path.stem == 'segmenter' else 'SemPLeS'
    lines = [f'{key} = {pprint.pformat(value, width=96)}\n' for key, value in named.items()]
    text = (
        _HEADER.format(
            title=title, name=path.name, bases=[f'semples_mmseg::{base}' for base in bases]
        )
        + ''.join(lines)
        + body
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(text)
