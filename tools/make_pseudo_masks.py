"""Write the pseudo masks of a data set: CAMs of a checkpoint -> label maps -> palette PNG.

    python tools/make_pseudo_masks.py CONFIG CHECKPOINT --out DIR

The images and their image-level labels come from the config's ``pseudo_mask_dataloader``. A
stopped run is continued by the same command.
"""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction

from semples_mmseg.pseudo_masks import make_pseudo_masks


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write pseudo masks from CAMs')
    parser.add_argument('config', help='config of the model that predicts CAMs')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--out', required=True, help='folder of the masks')
    parser.add_argument(
        '--background-score', type=float, help='score of the background, 0..1 (default: config)'
    )
    parser.add_argument(
        '--split-dataloader',
        default='pseudo_mask_dataloader',
        help='name of the dataloader in the config',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='delete the masks of the folder first'
    )
    parser.add_argument('--work-dir', help='folder of the logs')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='key=value changes of the config'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = Config.fromfile(args.config)
    config.launcher = args.launcher
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    if args.work_dir:
        config.work_dir = args.work_dir
    elif not config.get('work_dir'):
        config.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    make_pseudo_masks(
        config,
        args.checkpoint,
        args.out,
        background_score=args.background_score,
        dataloader_key=args.split_dataloader,
        overwrite=args.overwrite,
    )


if __name__ == '__main__':
    main()
