"""Evaluate a model: seed quality of CAMs, or mIoU of a segmentation model.

python tools/test.py configs/semples/voc_refine.py work_dirs/voc_refine/refine.pth
python tools/test.py configs/segmenter/segmenter_deit-s_voc12.py CHECKPOINT --tta --crf
python tools/test.py configs/semples/voc_refine.py work_dirs/voc_refine/{match,refine}.pth \\
    --metrics seeds.json  # seeds_match.json and seeds_refine.json
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_common_options, add_max_side
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.io import folder_lock


def parse_args() -> argparse.Namespace:
    """Read the command line; the options are MMSeg's."""
    parser = argparse.ArgumentParser(description='Evaluate a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        'checkpoint',
        nargs='+',
        help='path of the weights; several are measured one by one; none if nothing trains them',
    )
    parser.add_argument('--out', help='folder for the predicted masks, palette PNGs')
    parser.add_argument(
        '--metrics',
        type=Path,
        help='JSON file for the metrics; with several checkpoints, one file each, named after it',
    )
    parser.add_argument('--show', action='store_true', help='show predictions')
    parser.add_argument('--show-dir', help='folder for painted predictions')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds a prediction is shown')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument('--crf', action='store_true', help='dense CRF on the predictions')
    add_max_side(parser)
    add_common_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from mmengine.dist import is_main_process
    from mmengine.runner import Runner

    from semples_mmseg.cli.evaluation import require_masks, use_crf, use_tta, write_predictions
    from semples_mmseg.cli.launch import load_config
    from semples_mmseg.engine.processes import process_group
    from semples_mmseg.models.mask_generators.protocol import find_checkpoint
    from semples_mmseg.utils.io import check_writable, write_json
    from semples_mmseg.weights import with_scheme

    files = metrics_files(args)
    if args.out:
        check_writable(args.out)
    config = load_config(args, 'model', 'test_dataloader', 'test_cfg')
    files_of_weights = [find_checkpoint(path, config.model) for path in args.checkpoint]
    checkpoints = [path and with_scheme(str(path)) for path in files_of_weights]
    config.load_from = checkpoints[0]
    if args.show or args.show_dir:
        # The official MMSeg builds the loop of training when it paints, with its images and CLIP.
        parts = ('train_cfg', 'train_dataloader', 'optim_wrapper', 'param_scheduler')
        config.update(dict.fromkeys(parts))
        config.default_hooks.visualization.update(
            draw=True, interval=1, show=args.show, wait_time=args.wait_time
        )
        if args.show_dir:
            config.visualizer.save_dir = args.show_dir
    if args.tta:
        use_tta(config)
    if args.out:
        write_predictions(config, args.out)
    else:
        require_masks(config, 'test')
    if args.crf:
        use_crf(config)
    with folder_lock(args.out) if args.out else nullcontext(), process_group(config):
        runner = Runner.from_cfg(config)
        for checkpoint, file in zip(checkpoints, files, strict=True):
            if checkpoint != checkpoints[0]:
                runner.load_checkpoint(checkpoint)
            metrics = runner.test()
            if file and is_main_process():
                write_json(file, {name: float(value) for name, value in metrics.items()})


def metrics_files(args: argparse.Namespace) -> list[Path | None]:
    """File for the metrics of each checkpoint.

    Raises:
        ValueError: If a path is a folder, or several checkpoints would write the same file.
    """
    paths = [Path(path) for path in args.checkpoint]
    files: list[Path | None] = [None] * len(paths)
    if args.metrics and len(paths) == 1:
        files = [args.metrics]
    elif args.metrics:
        files = [args.metrics.with_stem(f'{args.metrics.stem}_{path.stem}') for path in paths]
    for file in filter(None, files):
        if file.is_dir():
            raise Refusal(f'--metrics {file} is a folder: name a file in it')
    written = (args.out, args.show_dir, len(set(files)) < len(files) and args.metrics)
    if len(paths) > 1 and any(written):
        raise Refusal(
            '--out, --show-dir and --metrics would overwrite the files of one checkpoint by '
            'those of the next: give one checkpoint at a time, or for --metrics checkpoints of '
            'different names'
        )
    return files


if __name__ == '__main__':
    with exit_codes():
        main()
