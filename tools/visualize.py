"""Draw what a model has learned: CAMs of its checkpoints side by side.

python tools/visualize.py cams CONFIG match.pth refine.pth --images cow.jpg --tags cow,car \\
    --out grid.png
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_common_options
from semples_mmseg.cli.errors import explained

if TYPE_CHECKING:
    from mmengine.config import Config
    from PIL import Image


def tag_list(text: str) -> list[str]:
    """Read the tags of an image: class names divided by commas."""
    return [name.strip() for name in text.split(',') if name.strip()]


def picture_path(text: str) -> str:
    """Read ``--out``."""
    if Path(text).suffix.lower() not in ('.png', '.jpg', '.jpeg', '.webp'):
        raise argparse.ArgumentTypeError(f'{text}: give a name that ends in .png, .jpg or .webp')
    return text


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    common = argparse.ArgumentParser(add_help=False)
    add_common_options(common)
    photos = argparse.ArgumentParser(add_help=False)
    photos.add_argument(
        '--images',
        nargs='+',
        required=True,
        metavar='IMAGE',
        help="image files, or image ids of the config's test data",
    )
    photos.add_argument(
        '--tags',
        nargs='+',
        type=tag_list,
        default=[],
        help='classes of each image file, divided by commas; one entry is for all files',
    )
    photos.add_argument('--masks', nargs='+', default=[], help='masks of the image files')
    photos.add_argument(
        '--classes', type=tag_list, default=[], help='these classes alone, divided by commas'
    )
    photos.add_argument('--out', required=True, type=picture_path, help='the picture to write')
    photos.add_argument('--cell', type=int, default=160, help='side of a picture in pixels')

    parser = argparse.ArgumentParser(description='Draw what a model has learned')
    figures = parser.add_subparsers(dest='figure', required=True, metavar='FIGURE')
    cams = figures.add_parser(
        'cams', parents=[photos, common], help='CAMs of checkpoints beside image and mask'
    )
    cams.add_argument('config', help='path of the config')
    cams.add_argument('checkpoint', nargs='+', help='paths of weights, one column each')
    cams.add_argument('--labels', nargs='+', help='titles of the columns (default: file names)')
    cams.add_argument(
        '--per-class', action='store_true', help='one row per image and class, not per image'
    )
    args = parser.parse_args()
    if args.labels and len(args.labels) != len(args.checkpoint):
        cams.error(f'--labels: {len(args.labels)} titles for {len(args.checkpoint)} checkpoints')
    return args


def column_titles(checkpoints: Sequence[str]) -> list[str]:
    """File names without suffix, with their folder where they are the same."""
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    stems = [path.stem for path in paths]
    different = len(set(stems)) == len(stems)
    return stems if different else [f'{path.parent.name}/{path.stem}' for path in paths]


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.cli.launch import load_config
    from semples_mmseg.utils import atomic_write
    from semples_mmseg.weights import resolve

    out = args.out
    args.work_dir = args.work_dir or (str(Path(out).parent) if out else tempfile.gettempdir())
    config = load_config(args)
    for checkpoint in args.checkpoint:
        resolve(checkpoint)
    picture = draw_cams(args, config)
    buffer = io.BytesIO()
    picture.save(buffer, {'.png': 'PNG', '.webp': 'WEBP'}.get(Path(out).suffix.lower(), 'JPEG'))
    with atomic_write(out, 'wb') as file:
        file.write(buffer.getvalue())
    print(f'{out}: {picture.width} x {picture.height} pixels')


def draw_cams(args: argparse.Namespace, config: Config) -> Image.Image:
    """Figures 3 and 5 of the paper."""
    from semples_mmseg import visualization
    from semples_mmseg.utils.classes import model_metainfo
    from semples_mmseg.visualization.photos import (
        build_model,
        choose_rows,
        classes_of,
        find_classes,
        find_photos,
        load_model,
        predict_cams,
    )

    titles = args.labels or column_titles(args.checkpoint)
    classes = find_classes(args.classes, classes_of(config), '--classes')
    photos = find_photos(config, args.images, args.tags, args.masks)
    rows = choose_rows(photos, classes, args.per_class)
    names = classes_of(config).names
    model, columns = build_model(config), {}
    for title, checkpoint in zip(titles, args.checkpoint, strict=True):
        load_model(model, checkpoint)
        cams = {photo: predict_cams(model, config, photo) for photo, _ in rows}
        columns[title] = [
            cams[photo][[photo.classes.index(k) for k in classes]] for photo, classes in rows
        ]
    return visualization.draw_cams(
        [photo.image() for photo, _ in rows],
        columns,
        [photo.mask() for photo, _ in rows],
        model_metainfo(classes_of(config))['palette'],
        [f'{photo.name} {", ".join(names[k] for k in classes)}' for photo, classes in rows],
        args.cell,
    )


if __name__ == '__main__':
    with explained():
        main()
