"""Measure the CAMs and pseudo masks of a run of the study, by masks that nothing else reads.

python projects/real_photos/measure.py CONFIG --prompts prompt.pth --weights NAME=PATH ... --out OUT
python projects/real_photos/measure.py CONFIG --masks FOLDER --predictions FOLDER --out OUT
python projects/real_photos/measure.py CONFIG --prompts prompt.pth --out OUT.pth  # moved on by one
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_common_options
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.cli.launch import load_config
from semples_mmseg.figures.rows import build_model
from semples_mmseg.masks.background_score import choose_background_score
from semples_mmseg.masks.generate import recorded_score
from semples_mmseg.masks.prediction_metric import PredictionMetric
from semples_mmseg.masks.scores import score_folder
from semples_mmseg.masks.threshold_curve import ThresholdCurve, enlarged
from semples_mmseg.photos.confidence import class_iou
from semples_mmseg.utils.files import read_json
from semples_mmseg.utils.io import atomic_write, write_json
from semples_mmseg.utils.label_png import IGNORED, mask_path, read_mask
from semples_mmseg.utils.lists import read_image_ids
from semples_mmseg.utils.parallel import progress
from semples_mmseg.utils.record import Record
from semples_mmseg.weights import load_weights, read_checkpoint

THRESHOLDS = [number / 50 for number in range(3, 48)]
CHOSEN_BY = 150
"""Photos by which CLIP chooses the background score."""


def measure_cams(model: Any, loader: Any, weights: str) -> dict[str, Any]:
    """mIoU of the CAMs of some weights at all background scores, and the one that CLIP chooses."""
    load_weights(model.mask_generator, weights, 'mask_generator')
    images, kept = loader.dataset, []
    chosen = np.linspace(0, len(images) - 1, min(CHOSEN_BY, len(images))).astype(int).tolist()
    model.kept = {images.get_data_info(index)['img_id']: None for index in chosen}
    curve = ThresholdCurve(model.num_classes, THRESHOLDS)
    for index, batch in progress(enumerate(loader), Path(weights).stem, len(images)):
        (sample,) = model.test_step(batch)
        kept += [batch] if index in chosen else []
        target = sample.gt_sem_seg.data
        cams = enlarged(sample.cams.data, target.shape[-2:])
        curve.update(cams, sample.cam_classes, target, sample.img_id)
    by_score = dict(zip(map(str, THRESHOLDS), curve.scores()['mIoU'].tolist(), strict=True))
    score = choose_background_score(model, kept)
    return dict(best=max(by_score.values()), mIoU=by_score[str(score)], score=score, curve=by_score)


def measure_tags(model: Any, loader: Any, weights: str) -> dict[str, float]:
    """How well some weights predict the tags of photos; see ``PredictionMetric``."""
    load_weights(model.mask_generator, weights, 'mask_generator')
    metric = PredictionMetric()
    metric.dataset_meta = loader.dataset.metainfo
    for batch in progress(loader, 'tags', len(loader)):
        metric.process(batch, [sample.to_dict() for sample in model.test_step(batch)])
    return metric.compute_metrics(metric.results)


def measure_masks(masks: Path, predictions: Path, data: Path, names: list[str]) -> dict[str, Any]:
    """Scores of pseudo masks, and confidence and true IoU of the mask of every tag."""
    truth, ids = data / 'masks', data / 'scored.txt'
    labels, tags = read_json(data / 'labels.json'), []
    for photo in read_image_ids(str(ids)):
        folders = (masks, predictions, truth)
        mask, predicted, true = (read_mask(mask_path(folder, photo)) for folder in folders)
        counted = np.where(true == IGNORED, IGNORED, mask)
        for number in map(names.index, labels[photo]):
            ious = class_iou(mask, predicted, number), class_iou(counted, true, number)
            tags.append((photo, names[number], *ious))
    score = recorded_score(Record(masks))
    return dict(masks=score_folder(masks, truth, names, ids), score=score, tags=tags)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Measure the CAMs and masks of the study')
    parser.add_argument('config', help='config of the run')
    parser.add_argument('--prompts', help='weights with the learned prompts')
    parser.add_argument('--weights', nargs='*', metavar='NAME=PATH', help='CAMs to measure')
    parser.add_argument('--masks', type=Path, help='pseudo masks to measure')
    parser.add_argument('--predictions', type=Path, help='predictions for their photos')
    parser.add_argument('--out', required=True, help='what to write')
    add_common_options(parser)
    args = parser.parse_args()
    register_components()
    config = load_config(args, 'model', 'test_dataloader')
    data = config.test_dataloader.dataset
    if args.masks:
        names = ['background', *data.class_names]
        folders = args.masks, args.predictions, Path(data.data_root)
        write_json(args.out, measure_masks(*folders, names))
    elif args.weights:
        model, loader = build_model(config), Runner.build_dataloader(config.test_dataloader)
        load_weights(model.prompt_learner, args.prompts, 'prompt_learner')
        weights = dict(text.split('=', 1) for text in args.weights)
        found: dict[str, Any] = {
            name: measure_cams(model, loader, path) for name, path in weights.items()
        }
        if 'stage_0' in weights:
            data.ann_file = 'held.txt'
            loader = Runner.build_dataloader(config.test_dataloader)
            found['stage_0'] |= measure_tags(model, loader, weights['stage_0'])
        write_json(args.out, found)
    else:
        content: Any = read_checkpoint(args.prompts)
        prompts = content['state_dict']['prompt_learner.prompts']
        content['state_dict']['prompt_learner.prompts'] = prompts.roll(1, 0)
        with atomic_write(args.out, 'wb') as file:
            torch.save(content, file)


if __name__ == '__main__':
    with exit_codes():
        main()
