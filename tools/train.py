"""Train a model: any stage of SemPLeS, stage 0, or the Segmenter.

python tools/train.py configs/semples/voc_refine.py [--work-dir DIR] [--resume]
python tools/train.py configs/semples/voc_refine.py --stage refine \\
    --cfg-options load_from=work_dirs/voc_prompt/prompt.pth
"""

import argparse

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_common_options
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.io import folder_lock


def parse_args() -> argparse.Namespace:
    """Read the command line; the options are MMSeg's."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint of the work folder, else from load_from',
    )
    parser.add_argument(
        '--stage',
        help='run one stage by itself (its name or number), from the weights in load_from',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bfloat16', 'float16'],
        help='train in mixed precision; auto or no value: bfloat16, or float16 (with a loss '
        'scaler) on a GPU that lacks it',
    )
    add_common_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from mmengine.runner import Runner

    from semples_mmseg.cli.evaluation import require_masks
    from semples_mmseg.cli.launch import choose_stage, choose_start, load_config
    from semples_mmseg.engine.processes import process_group
    from semples_mmseg.engine.stage_plan import StagePlan

    config = load_config(args, 'model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
    if args.stage:
        choose_stage(config, args.stage)
    if config.train_cfg.get('type') == 'StagedTrainLoop':
        StagePlan(config.get('stages'))  # mistakes are told before anything is built
    require_masks(config, 'val')
    if args.amp:
        config.optim_wrapper.type = 'MixedPrecisionOptimWrapper'
        if args.amp != 'auto':
            config.optim_wrapper.dtype = args.amp
    with folder_lock(config.work_dir):
        choose_start(config, args.resume)
        with process_group(config):
            runner = Runner.from_cfg(config)
            loader = runner.train_loop.dataloader
            if not config.get('stages') and len(loader) == 0:
                raise Refusal(
                    f'a batch of {loader.batch_size} images is more than the '
                    f'{len(loader.dataset)} there are, and the last incomplete batch is dropped: '
                    'lower train_dataloader.batch_size'
                )
            runner.train()


if __name__ == '__main__':
    with exit_codes():
        main()
