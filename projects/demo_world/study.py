"""The demo over several pretraining and training seeds, with its ablations."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, Runner
from mmseg.registry import MODELS

from semples_mmseg.demo.models import BACKBONE_FILE, CLIP_FILE
from semples_mmseg.demo.steps import SEGMENTER, SEMPLES, segmenter_options, stage_file
from semples_mmseg.demo.world import BACKGROUNDS
from semples_mmseg.pseudo_masks import make_pseudo_masks
from semples_mmseg.utils import atomic_write

SPLITS = ('train', 'val')
VARIANTS: dict[str, dict[str, Any]] = {
    'without the text term': dict(
        options={'model.prompt_loss.text_weight': 0.0}, start='match', stages=('prompt', 'refine')
    ),
    'without the image term': dict(
        options={'model.prompt_loss.image_weight': 0.0}, start='match', stages=('prompt', 'refine')
    ),
    "another class's prompts": dict(options={}, start='prompt', stages=('refine',), roll=1),
    'lambda = 0.05 (paper)': dict(
        options={'model.refine_loss.weight': 0.05}, start='prompt', stages=('refine',)
    ),
    'joint': dict(options={}, start='classify', stages=('joint',)),
}
"""Ablations: options of the config, the stage whose weights they start from, and their stages."""


class Cell:
    """A run of the demo with one pretraining seed and one training seed.

    Args:
        root: Folder of ``configs``.
        folder: Folder of the results.
        models: Folder of the two pretrained models.
        data_root: Folder of the demo world.
        seed: Training seed.
    """

    def __init__(self, root: Path, folder: Path, models: Path, data_root: Path, seed: int) -> None:
        self.root, self.folder, self.models = root, folder, models
        self.data_root, self.seed = data_root, seed

    def run(self, variants: Sequence[str] = ()) -> dict[str, Any]:
        """Train and evaluate, unless the results exist already.

        Args:
            variants: Names of ``VARIANTS``.
        """
        path = self.folder / 'cell.json'
        if path.exists():
            return json.loads(path.read_text(encoding='utf-8'))
        Runner.from_cfg(self._config('semples')).train()
        results: dict[str, Any] = dict(
            seeds={
                stage: self._evaluate(stage_file(self.folder, stage))
                for stage in ('classify', 'match', 'refine')
            },
            nearest_words=self._nearest_words(),
        )
        results['segmenter'] = self._retrain()
        for name in variants:
            results['seeds'][name] = self._run_variant(name, VARIANTS[name])
        with atomic_write(path) as file:
            json.dump(results, file, indent=2)
        return results

    def _config(self, name: str, options: dict[str, Any] | None = None) -> Config:
        config = Config.fromfile(self.root / SEMPLES)
        config.merge_from_dict(
            {
                'work_dir': str(self.folder / name),
                'randomness.seed': self.seed,
                'log_level': 'WARNING',
                'model.clip.pretrained': str(self.models / CLIP_FILE),
                'model.mask_generator.backbone.init_cfg.checkpoint': 'weights:'
                + str(self.models / BACKBONE_FILE),
                **{
                    f'{loader}_dataloader.dataset.data_root': str(self.data_root)
                    for loader in ('train', 'val', 'test', 'pseudo_mask')
                },
                **(options or {}),
            }
        )
        # Checkpoints are evaluated on both splits after training.
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
        return config

    def _checkpoint(self, stage: str) -> dict[str, Any]:
        path = str(stage_file(self.folder, stage))
        return CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')

    def _evaluate(self, checkpoint: Path) -> dict[str, dict[str, float]]:
        """Seed metrics on training ('train') and held-out ('val') scenes."""
        found = {}
        for split in SPLITS:
            config = self._config('test')
            config.test_dataloader.dataset.ann_file = f'ImageSets/{split}.txt'
            config.load_from = str(checkpoint)
            found[split] = Runner.from_cfg(config).test()
        return found

    def _run_variant(self, name: str, variant: dict[str, Any]) -> dict[str, dict[str, float]]:
        options = copy.deepcopy(variant['options'])
        work = name.replace(' ', '_').replace("'", '')
        config = self._config(work, options)
        start = self._checkpoint(variant['start'])
        if 'roll' in variant:
            prompts = start['state_dict']['prompt_learner.prompts']
            start['state_dict']['prompt_learner.prompts'] = prompts.roll(variant['roll'], 0)
        config.load_from = str(self.folder / f'{work}_start.pth')
        torch.save(start, config.load_from)
        known = {stage['name']: stage for stage in config.stages}
        known['joint'] = dict(known['match'], name='joint')
        config.stages = [known[stage] for stage in variant['stages']]
        Runner.from_cfg(config).train()
        return self._evaluate(self.folder / work / f'{variant["stages"][-1]}.pth')

    def _nearest_words(self) -> list[str]:
        """For each class, the background word whose text feature is nearest to its prompt's."""
        model = MODELS.build(self._config('test').model)
        weights = self._checkpoint('prompt')['state_dict']
        model.load_state_dict(weights)
        sentences = [f'a photo of {word}.' for word in BACKGROUNDS]
        words = model.text_head.encode_sentences(sentences)
        with torch.no_grad():
            prompts = model.text_head.encode_prompts(model.prompt_learner())
        return [BACKGROUNDS[index] for index in (prompts @ words.T).argmax(1).tolist()]

    def _retrain(self) -> dict[str, float]:
        """mIoU of a Segmenter on held-out scenes, trained on the pseudo masks of (c)."""
        masks = self.folder / 'pseudo_masks'
        final = str(stage_file(self.folder, 'refine'))
        make_pseudo_masks(self._config('test'), final, str(masks), overwrite=True)
        config = Config.fromfile(self.root / SEGMENTER)
        config.merge_from_dict(
            {
                'work_dir': str(self.folder / 'segmenter'),
                'randomness.seed': self.seed,
                'log_level': 'WARNING',
                'model.backbone.init_cfg.checkpoint': 'weights:' + str(self.models / BACKBONE_FILE),
                **dict(option.split('=', 1) for option in segmenter_options(self.data_root, masks)),
            }
        )
        runner = Runner.from_cfg(config)
        runner.train()
        return {key: float(value) for key, value in runner.test().items()}
