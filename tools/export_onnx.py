"""Write a segmentation model as an ONNX file, which semples-mmseg predict runs.

python tools/export_onnx.py configs/segmenter/segmenter_deit-s_voc12.py CHECKPOINT --out voc.onnx
semples-mmseg predict voc.onnx PHOTOS --out masks
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.utils.errors import Missing


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write a segmentation model as an ONNX file')
    parser.add_argument('config', help='path of the config of an EncoderDecoder of MMSegmentation')
    parser.add_argument('checkpoint', help='path of its weights')
    parser.add_argument('--out', type=Path, required=True, help='the ONNX file')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.photos.onnx_export import check_packages, export_onnx
    from semples_mmseg.weights import forbid_code, resolve

    check_packages()
    forbid_code()
    if not Path(args.config).is_file():
        raise Missing(f'no config at {args.config}')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(args.config, resolve(args.checkpoint), args.out)
    print(f'written: {args.out}; it labels pixels as PyTorch does')


if __name__ == '__main__':
    with exit_codes():
        main()
