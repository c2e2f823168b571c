"""Write the pseudo masks of a data set: CAMs of a checkpoint -> label maps -> palette PNG.

python tools/make_pseudo_masks.py CONFIG CHECKPOINT --out DIR --refine crf-voc

The images and their image-level labels come from the config's ``pseudo_mask_dataloader``, the
background score and the refinement from its ``pseudo_mask_evaluator`` unless given here. The same
command continues a stopped run. On N GPUs:

torchrun --nproc_per_node N tools/make_pseudo_masks.py CONFIG CHECKPOINT --out DIR ... \\
    --launcher pytorch
"""

import argparse

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_common_options, add_max_side
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.masks import REFINEMENTS


def background_score(text: str) -> float | str:
    """Read ``--background-score``."""
    return text if text == 'auto' else float(text)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write pseudo masks from CAMs')
    parser.add_argument('config', help='path of the config of the model that predicts CAMs')
    parser.add_argument('checkpoint', help='path of its weights; none if nothing trains it')
    parser.add_argument('--out', required=True, help='folder of the masks')
    parser.add_argument(
        '--background-score',
        type=background_score,
        help="score of the background, 0..1, or 'auto': CLIP chooses (default: config, else auto)",
    )
    parser.add_argument(
        '--refine',
        metavar='NAME',
        help=f'refinement of the masks: {", ".join(REFINEMENTS)}, with their published settings, '
        'segments:FOLDER, affinity:MODEL (default: config)',
    )
    parser.add_argument(
        '--split-dataloader',
        default='pseudo_mask_dataloader',
        help='name of the dataloader in the config',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='delete the masks of the folder first'
    )
    add_max_side(parser)
    add_common_options(parser)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.cli.launch import load_config
    from semples_mmseg.masks.generate import make_pseudo_masks

    make_pseudo_masks(
        load_config(args, 'model'),
        args.checkpoint,
        args.out,
        background_score=args.background_score,
        refine=args.refine,
        dataloader_key=args.split_dataloader,
        overwrite=args.overwrite,
    )


if __name__ == '__main__':
    with exit_codes():
        main()
