"""Make the demo's two pretrained models anew: a tiny CLIP and a small backbone, in 15 minutes.

python projects/demo_world/make_models.py --seed 0 --out work_dirs/demo_models
"""

import argparse

from projects.demo_world.pretraining import make_demo_models
from semples_mmseg.cli.errors import explained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seed', type=int, default=0, help='decides data, weights and order')
    parser.add_argument('--out', required=True, help='folder the files are written to')
    args = parser.parse_args()
    make_demo_models(args.seed, args.out)


if __name__ == '__main__':
    with explained():
        main()
