"""Show what a model has learned: its CAMs, where CLIP sees its prompts, the words nearest to them.

python tools/visualize.py cams CONFIG match.pth refine.pth --images cow.jpg --tags cow,car \\
    --out cams.png
python tools/visualize.py prompts CONFIG refine.pth --images cow.jpg --tags cow --out prompts.png
python tools/visualize.py words CONFIG refine.pth
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
from semples_mmseg.cli.errors import exit_codes

if TYPE_CHECKING:
    from mmengine.config import Config
    from PIL import Image

FORMATS = {'.png': 'PNG', '.jpg': 'JPEG', '.jpeg': 'JPEG', '.webp': 'WEBP'}


def name_list(text: str) -> list[str]:
    """Read class names separated by commas."""
    return [name.strip() for name in text.split(',') if name.strip()]


def picture_path(text: str) -> Path:
    """Read ``--out``."""
    if Path(text).suffix.lower() not in FORMATS:
        raise argparse.ArgumentTypeError(f'{text}: give a name that ends in {", ".join(FORMATS)}')
    return Path(text)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('config', help='path of the config')
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
        type=name_list,
        default=[],
        help='classes of each image file, separated by commas; one entry applies to all files',
    )
    photos.add_argument(
        '--classes', type=name_list, default=[], help='only these classes, separated by commas'
    )
    photos.add_argument('--out', required=True, type=picture_path, help='the picture to write')
    photos.add_argument('--cell', type=int, default=160, help='side of a picture in pixels')

    parser = argparse.ArgumentParser(description='Show what a model has learned')
    figures = parser.add_subparsers(dest='figure', required=True, metavar='FIGURE')
    cams = figures.add_parser(
        'cams', parents=[common, photos], help='CAMs of checkpoints beside image and mask'
    )
    cams.add_argument('checkpoint', nargs='+', help='paths of weights, one column each')
    cams.add_argument('--labels', nargs='+', help='titles of the columns (default: file names)')
    cams.add_argument('--masks', nargs='+', default=[], help='masks of the image files')
    cams.add_argument(
        '--per-class', action='store_true', help='one row per image and class, not per image'
    )
    prompts = figures.add_parser(
        'prompts', parents=[common, photos], help='where CLIP sees learned and manual prompts'
    )
    prompts.add_argument('checkpoint', help='path of the weights')
    prompts.add_argument(
        '--manual', nargs='+', help='words of the manual prompts (default: the ten of CLIMS)'
    )
    method = prompts.add_mutually_exclusive_group()
    for name, text in (
        ('dense', 'sharper maps: patches attend to themselves (MaskCLIP)'),
        ('windows', 'compare windows of the image, which works with every CLIP'),
    ):
        method.add_argument(f'--{name}', dest='method', action='store_const', const=name, help=text)
    prompts.set_defaults(method='patches')
    words = figures.add_parser('words', parents=[common], help='the words nearest to the prompts')
    words.add_argument('checkpoint', help='path of the weights')
    words.add_argument(
        '--words', type=Path, help='list of words, one a line (default: shipped nouns)'
    )
    words.add_argument('--count', type=int, default=10, help='words for each class')
    words.add_argument('--json', type=Path, help='write them to this file as well')
    for command in (cams, prompts, words):
        add_common_options(command)
    args = parser.parse_args()
    if args.figure == 'cams' and len(args.labels or args.checkpoint) != len(args.checkpoint):
        cams.error(f'--labels: {len(args.labels)} titles for {len(args.checkpoint)} checkpoints')
    return args


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.cli.launch import load_config
    from semples_mmseg.weights import resolve

    out = args.json if args.figure == 'words' else args.out
    args.work_dir = args.work_dir or str(out.parent if out else tempfile.gettempdir())
    config = load_config(args, 'model')
    for checkpoint in args.checkpoint if args.figure == 'cams' else [args.checkpoint]:
        resolve(checkpoint)
    if args.figure == 'words':
        list_words(args, config)
    else:
        save((draw_cams if args.figure == 'cams' else draw_prompts)(args, config), out)


def save(picture: Image.Image, out: Path) -> None:
    """Write a picture in the format of its suffix."""
    from semples_mmseg.utils import atomic_write

    buffer = io.BytesIO()
    picture.save(buffer, FORMATS[out.suffix.lower()], optimize=True)
    with atomic_write(out, 'wb') as file:
        file.write(buffer.getvalue())
    print(f'{out}: {picture.width} x {picture.height} pixels')


def draw_cams(args: argparse.Namespace, config: Config) -> Image.Image:
    """Figures 3 and 5 of the paper."""
    from semples_mmseg import figures
    from semples_mmseg.figures.rows import (
        build_model,
        choose_rows,
        config_classes,
        load_model,
        predict_cams,
        read_photos,
    )
    from semples_mmseg.utils.classes import model_metainfo
    from semples_mmseg.utils.progress import progress

    photos = read_photos(config, args.images, args.tags, args.masks)
    rows = choose_rows(photos, config_classes(config), args.classes, args.per_class)
    model, columns = build_model(config), {}
    pipeline = config.test_dataloader.dataset.pipeline
    titles = args.labels or column_titles(args.checkpoint)
    for title, checkpoint in zip(titles, args.checkpoint, strict=True):
        load_model(model, checkpoint)
        cams = {photo: predict_cams(model, pipeline, photo) for photo in progress(photos, title)}
        columns[title] = [
            cams[row.photo][[row.photo.classes.index(k) for k in row.classes]] for row in rows
        ]
    return figures.draw_cams(
        [row.photo.image() for row in rows],
        columns,
        [row.photo.mask() for row in rows],
        model_metainfo(config_classes(config))['palette'],
        [row.title for row in rows],
        args.cell,
    )


def draw_prompts(args: argparse.Namespace, config: Config) -> Image.Image:
    """Figure 4 of the paper."""
    import torch

    from semples_mmseg import figures
    from semples_mmseg.figures.prompt_figure import CLIMS_BACKGROUNDS, trained_prompts
    from semples_mmseg.figures.rows import (
        build_model,
        choose_rows,
        config_classes,
        load_model,
        read_photos,
    )
    from semples_mmseg.utils.progress import progress

    photos = read_photos(config, args.images, args.tags)
    rows = choose_rows(photos, config_classes(config), args.classes, per_class=True)
    model = build_model(config)
    learned = trained_prompts(model, load_model(model, args.checkpoint), args.checkpoint)
    words = args.manual or CLIMS_BACKGROUNDS
    manual = model.text_head.encode_sentences([f'a photo of {word}.' for word in words])
    images, maps = [row.photo.image() for row in rows], []
    for row, image in progress(zip(rows, images, strict=True), 'prompt maps', len(rows)):
        features = torch.cat([learned[list(row.classes)], manual])
        maps.append(figures.prompt_maps(model, image, features, args.method))
    return figures.draw_prompts(images, maps, words, [row.title for row in rows], args.cell)


def list_words(args: argparse.Namespace, config: Config) -> None:
    """Print the words nearest to the prompt of every class."""
    from semples_mmseg.figures.prompt_figure import trained_prompts
    from semples_mmseg.figures.rows import build_model, config_classes, load_model
    from semples_mmseg.figures.words import (
        NOUNS,
        encode_words,
        nearest_words,
        read_words,
        words_table,
    )
    from semples_mmseg.utils.io import write_json

    listed = read_words(args.words or NOUNS)
    model = build_model(config)
    prompts = trained_prompts(model, load_model(model, args.checkpoint), args.checkpoint)
    words, features = encode_words(model.text_head, listed)
    found = nearest_words(prompts, config_classes(config).names, words, features, args.count)
    if args.json:
        content = {
            name: [near._asdict() for near in near_words] for name, near_words in found.items()
        }
        write_json(args.json, content, ensure_ascii=False)
    if len(words) < len(listed):
        print(f'{len(listed) - len(words)} of {len(listed)} words are unknown to this CLIP')
    print(words_table(found))


def column_titles(checkpoints: Sequence[str]) -> list[str]:
    """File names without suffix, with their folder where they are the same."""
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    stems = [path.stem for path in paths]
    different = len(set(stems)) == len(stems)
    return stems if different else [f'{path.parent.name}/{path.stem}' for path in paths]


if __name__ == '__main__':
    with exit_codes():
        main()
