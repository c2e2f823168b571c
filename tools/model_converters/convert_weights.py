"""Convert published weights to this package's names.

python tools/model_converters/convert_weights.py WeakTr_COCO.pth pretrained/weaktr_deit-s_coco14.pth

Configs and tools read the published files directly (checkpoint='weights:PATH'); programs that use
only MMSeg's names need them converted.
"""

import argparse

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes

KINDS = ('auto', 'weaktr', 'prompts', 'segmenter', 'efficientnet', 'deit')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Convert published weights')
    parser.add_argument('source', help='published file: DeiT, WeakTr, SemPLeS, Segmenter, prompts')
    parser.add_argument('target', help='file to write')
    parser.add_argument('--kind', choices=KINDS, default='auto', help='layout (default: by names)')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.weights import convert_file

    weights = convert_file(args.source, args.target, args.kind)
    print(f'{weights.path}: {weights.layout}')
    for title, names in (('used', weights.sources.values()), ('unused', weights.unused)):
        print(f'{title} ({len(names)}): {", ".join(names) or "none"}')
    print(f'written to {args.target}')


if __name__ == '__main__':
    with exit_codes():
        main()
