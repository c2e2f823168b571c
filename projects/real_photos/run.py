"""Run the study: recipe.py for each data set and seed; what is complete is skipped.

python projects/real_photos/run.py --data data/real_photos --seeds 0 1 2
python projects/real_photos/run.py --data data/real_photos --main  # without the directions

Two commands may run at the same time on other data sets or seeds.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.runs.recipe import Recipe, read_recipe
from semples_mmseg.runs.steps import run_steps
from semples_mmseg.utils.io import folder_lock

MAIN = 'masks_measured'
"""The last step of the main line."""
# Epochs: about as many steps on both data sets.
VOC = dict(
    stage_0=['stages.0.epochs=4'],
    semples=['stages.0.epochs=2', 'stages.1.epochs=3', 'stages.2.epochs=2'],
    segmenter=['train_cfg.max_epochs=2', 'train_cfg.val_interval=2', 'param_scheduler.end=2'],
)
# The background score of the pseudo masks is the best one of the other data set, with seed 0.
SETTINGS = dict(msrc=dict(score=0.3), voc_animals=dict(VOC, score=0.4))


def read_cell(data: Path, run: Path, name: str, seed: int, main: bool = False) -> Recipe:
    """The recipe of a data set and a seed, or the main line of it alone."""
    os.environ['DATA_ROOT'] = str((data / name).resolve())
    values = dict(SETTINGS[name], seed=seed)
    recipe = read_recipe(Path(__file__).with_name('recipe.py'), run, dict(data=data / name), values)
    last = [step.name for step in recipe.steps].index(MAIN) + 1 if main else None
    return replace(recipe, steps=recipe.steps[:last])


def run_cell(recipe: Recipe) -> None:
    """Run the steps that are not complete."""
    recipe.folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(recipe.folder):
        run_steps(recipe)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Run the study on real photos')
    parser.add_argument('--data', type=Path, required=True, help='folder that prepare.py has made')
    parser.add_argument('--sets', nargs='+', default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--main', action='store_true', help='without the directions')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/real_photos'))
    args = parser.parse_args()
    register_components()
    for seed in args.seeds:
        for name in args.sets:
            print(name, 'seed', seed, flush=True)
            run_cell(read_cell(args.data, args.out / f'{name}_{seed}', name, seed, args.main))


if __name__ == '__main__':
    with exit_codes():
        main()
