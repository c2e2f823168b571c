"""The demo over several seeds: tables 4 to 6 of the paper, manual prompts, and generators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner
from mmseg.registry import MODELS
from pretraining.backbone import RESNET_FILE

from semples_mmseg.demo.models import BACKBONE_FILE, CLIP_FILE
from semples_mmseg.demo.world import BACKGROUNDS, HABITATS, OBJECTS
from semples_mmseg.engine.atomic_checkpoint_hook import METRICS
from semples_mmseg.masks.generate import make_pseudo_masks
from semples_mmseg.utils.files import read_json
from semples_mmseg.utils.io import write_json

SEMPLES = 'configs/semples/demo_refine.py'
SEGMENTER = 'configs/segmenter/segmenter_demo.py'
SPLITS = ('train', 'val')
ONE_ROUND = ('classify', 'match', 'prompt', 'refine')
FULL = '(c), one round'
"""The row of the method as it is; the others are compared with it."""


@dataclass(frozen=True)
class Training:
    """A training of the study.

    Args:
        rows: File of weights in the training's folder, without suffix, for each row of the table.
        stages: Names of its stages.
        start: Weights of the main training that it starts from; ``None`` trains from the
            beginning.
        options: Settings of the config.
        config: The config, from the root of the project.
        backbone: File of the pretrained backbone.
        roll: By how many classes the learned prompts are moved on.
    """

    rows: Mapping[str, str]
    stages: Sequence[str] = ('refine',)
    start: str | None = 'prompt_3'
    options: Mapping[str, Any] = field(default_factory=dict)
    config: str = SEMPLES
    backbone: str = BACKBONE_FILE
    roll: int = 0


def _lambda(value: float) -> Training:
    return Training({f'λ = {value}': 'refine'}, options={'model.losses.refine.weight': value})


def _manual(row: str, texts: Any) -> Training:
    prompts = dict(_delete_=True, type='ManualPrompts', texts=texts, template='a photo of {}.')
    return Training({row: 'refine'}, start='classify', options={'model.prompt_learner': prompts})


def _one_term(row: str, without: str) -> Training:
    options = {f'model.losses.prompt.{without}_weight': 0.0}
    return Training({row: 'refine'}, ('prompt', 'refine'), 'match', options)


def _generator(name: str, config: str, backbone: str) -> Training:
    rows = {f'{name}, stage 0': 'classify', f'{name}, (a)': 'match', f'{name}, (c)': 'refine'}
    config = f'projects/demo_world/configs/{config}.py'
    return Training(rows, ONE_ROUND, None, config=config, backbone=backbone)


TRAININGS = {
    'main': Training(
        {
            'stage 0': 'classify',
            '(a), matching alone': 'match',
            FULL: 'refine_4',
            'two rounds': 'refine_6',
            'three rounds': 'refine_8',
        },
        (*ONE_ROUND, *ONE_ROUND[2:], *ONE_ROUND[2:]),
        None,
    ),
    'text': _one_term('text term alone', 'image'),
    'image': _one_term('image term alone', 'text'),
    'lambda_0.05': _lambda(0.05),
    'lambda_0.2': _lambda(0.2),
    'lambda_0.4': _lambda(0.4),
    'lambda_2': _lambda(2.0),
    'joint': Training({'joint': 'joint'}, ('joint',), 'classify'),
    'other_prompts': Training({"another class's prompts": 'refine'}, roll=1),
    'habitats': _manual(
        'manual prompts: the habitual background',
        {name: [place] for name, place in zip(OBJECTS, HABITATS, strict=True)},
    ),
    # The words of CLIMS's list for VOC that the tiny CLIP knows.
    'clims': _manual("manual prompts: CLIMS's list", ['tree', 'water', 'railway', 'rock']),
    'mctformer': _generator('MCTformer', 'mctformer', BACKBONE_FILE),
    'cam': _generator('CAM of a ResNet-18', 'cam_resnet18', RESNET_FILE),
}
"""All trainings of a cell; the first is what the others start from."""


class Cell:
    """All trainings with one pretraining seed and one training seed.

    Args:
        root: Folder of ``configs`` and ``projects``.
        folder: Folder of the results; ``cell.json`` has the results of complete trainings.
        models: Folder of the pretrained models.
        data_root: Folder of the demo world.
        seed: Training seed.
    """

    def __init__(self, root: Path, folder: Path, models: Path, data_root: Path, seed: int) -> None:
        self.root, self.folder, self.models = root, folder, models
        self.data_root, self.seed = data_root, seed

    def run(self, names: Sequence[str] = tuple(TRAININGS)) -> dict[str, Any]:
        """Train and evaluate what is not complete yet.

        Args:
            names: Names of ``TRAININGS``.

        Returns:
            ``seeds``: metrics on 'train' and 'val' for each row; ``nearest_words`` and
            ``segmenter`` of the main training.
        """
        path = self.folder / 'cell.json'
        found: dict[str, Any] = dict(seeds={})
        if path.exists():
            found = read_json(path)
        for name in names:
            training = TRAININGS[name]
            if set(training.rows) <= set(found['seeds']):
                continue
            self._train(name, training)
            for row, weights in training.rows.items():
                file = self.folder / name / f'{weights}.pth'
                found['seeds'][row] = self._evaluate(training, file)
            if name == 'main':
                found['nearest_words'] = self._nearest_words()
                found['segmenter'] = self._retrain()
            write_json(path, found)
        return found

    def _config(self, training: Training, name: str) -> Config:
        config = Config.fromfile(self.root / training.config)
        config.merge_from_dict(
            {
                'work_dir': str(self.folder / name),
                'randomness.seed': self.seed,
                'log_level': 'WARNING',
                'model.clip.pretrained': str(self.models / CLIP_FILE),
                'model.mask_generator.backbone.init_cfg.checkpoint': (
                    f'weights:{self.models / training.backbone}'
                ),
                **{
                    f'{loader}_dataloader.dataset.data_root': str(self.data_root)
                    for loader in ('train', 'val', 'test', 'pseudo_mask')
                },
                **training.options,
            }
        )
        # Checkpoints are evaluated on both splits after training.
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
        return config

    def _train(self, name: str, training: Training) -> None:
        config = self._config(training, name)
        known = {stage['name']: stage for stage in config.stages}
        # Prompts keep their own rate beside the generator's.
        rate = known['prompt']['optim_wrapper']['optimizer']['lr']
        multiple = dict(lr_mult=rate / config.optim_wrapper.optimizer.lr)
        keys = dict(paramwise_cfg=dict(custom_keys=dict(prompt_learner=multiple)))
        known['joint'] = dict(known['match'], name='joint', optim_wrapper=keys)
        config.stages = [dict(known[stage]) for stage in training.stages]
        if training.start:
            config.load_from = str(self.folder / 'main' / f'{training.start}.pth')
        if training.start == 'classify':  # the generator has its stage-0 weights already
            config.stages[0].pop('restore', None)
        if training.roll:
            start = CheckpointLoader.load_checkpoint(
                config.load_from, map_location='cpu', logger='silent'
            )
            prompts = start['state_dict']['prompt_learner.prompts']
            start['state_dict']['prompt_learner.prompts'] = prompts.roll(training.roll, 0)
            config.load_from = str(self.folder / f'{name}_start.pth')
            torch.save(start, config.load_from)
        Runner.from_cfg(config).train()

    def _evaluate(self, training: Training, weights: Path) -> dict[str, dict[str, float]]:
        """Seed metrics on training ('train') and held-out ('val') scenes."""
        found = {}
        for split in SPLITS:
            config = self._config(training, 'test')
            config.test_dataloader.dataset.ann_file = f'ImageSets/{split}.txt'
            config.load_from = str(weights)
            found[split] = Runner.from_cfg(config).test()
        return found

    def _nearest_words(self) -> list[str]:
        """For each class, the background word whose text feature is nearest to its prompt's."""
        model = MODELS.build(self._config(TRAININGS['main'], 'test').model)
        path = str(self.folder / 'main' / 'prompt_3.pth')
        weights = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
        model.load_state_dict(weights['state_dict'])
        sentences = [f'a photo of {word}.' for word in BACKGROUNDS]
        words = model.text_head.encode_sentences(sentences)
        with torch.no_grad():
            prompts = model.text_head.encode_prompts(model.prompt_learner())
        return [BACKGROUNDS[index] for index in (prompts @ words.T).argmax(1).tolist()]

    def _retrain(self) -> dict[str, float]:
        """mIoU of a Segmenter on held-out scenes, trained on the pseudo masks of (c)."""
        main = TRAININGS['main']
        masks = self.folder / 'pseudo_masks'
        final = str(self.folder / 'main' / f'{main.rows[FULL]}.pth')
        make_pseudo_masks(self._config(main, 'test'), final, str(masks), overwrite=True)
        config = Config.fromfile(self.root / SEGMENTER)
        config.merge_from_dict(
            {
                'work_dir': str(self.folder / 'segmenter'),
                'randomness.seed': self.seed,
                'log_level': 'WARNING',
                'model.backbone.init_cfg.checkpoint': f'weights:{self.models / BACKBONE_FILE}',
                **{
                    f'{loader}_dataloader.dataset.data_root': str(self.data_root)
                    for loader in ('train', 'val', 'test')
                },
                'train_dataloader.dataset.data_prefix.seg_map_path': str(masks.resolve()),
            }
        )
        Runner.from_cfg(config).train()
        return read_json(self.folder / 'segmenter' / METRICS)
