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
from typing import TYPE_CHECKING, Any

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_common_options
from semples_mmseg.cli.errors import exit_codes

if TYPE_CHECKING:
    from mmengine.config import Config
    from PIL import Image
    from torch import Tensor

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
    add = photos.add_argument
    add('--images', nargs='+', required=True, help="image files, or ids of the config's test data")
    add('--tags', nargs='+', type=name_list, default=[], help='classes of each file, or of all')
    add('--classes', type=name_list, default=[], help='only these classes, separated by commas')
    add('--out', required=True, type=picture_path, help='the picture to write')
    add('--cell', type=int, default=160, help='side of a picture in pixels')

    parser = argparse.ArgumentParser(description='Show what a model has learned')
    figures = parser.add_subparsers(dest='figure', required=True, metavar='FIGURE')
    parents = [common, photos]
    cams = figures.add_parser('cams', parents=parents, help='CAMs beside image and mask')
    add = cams.add_argument
    add('checkpoint', nargs='+', help='paths of weights, one column each')
    add('--labels', nargs='+', help='titles of the columns (default: file names)')
    add('--masks', nargs='+', default=[], help='masks of the image files')
    add('--per-class', action='store_true', help='one row per image and class, not per image')
    prompts = figures.add_parser('prompts', parents=parents, help='where CLIP sees prompts')
    add = prompts.add_argument
    add('checkpoint', help='path of the weights')
    add('--manual', nargs='+', help='words of manual prompts (default: the ten of CLIMS)')
    method = prompts.add_mutually_exclusive_group()
    for name, text in (
        ('dense', 'sharper maps: patches attend to themselves (MaskCLIP)'),
        ('windows', 'compare windows of the image, which works with every CLIP'),
    ):
        method.add_argument(f'--{name}', dest='method', action='store_const', const=name, help=text)
    prompts.set_defaults(method='patches')
    words = figures.add_parser('words', parents=[common], help='the words nearest to the prompts')
    add = words.add_argument
    add('checkpoint', help='path of the weights')
    add('--words', type=Path, help='list of words, one a line (default: shipped nouns)')
    add('--count', type=int, default=10, help='words for each class')
    add('--json', type=Path, help='write them to this file as well')
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
    from semples_mmseg.utils.io import atomic_write

    buffer = io.BytesIO()
    picture.save(buffer, FORMATS[out.suffix.lower()], optimize=True)
    with atomic_write(out, 'wb') as file:
        file.write(buffer.getvalue())
    print(f'{out}: {picture.width} x {picture.height} pixels')


def draw_cams(args: argparse.Namespace, config: Config) -> Image.Image:
    """Figures 3 and 5 of the paper."""
    from semples_mmseg.figures import pictures, rows
    from semples_mmseg.utils.classes import model_metainfo
    from semples_mmseg.utils.parallel import progress

    photos = rows.read_photos(config, args.images, args.tags, args.masks)
    classes = rows.config_classes(config)
    shown = rows.choose_rows(photos, classes, args.classes, args.per_class)
    model, columns = rows.build_model(config), {}
    pipeline = config.test_dataloader.dataset.pipeline
    titles = args.labels or column_titles(args.checkpoint)
    for title, checkpoint in zip(titles, args.checkpoint, strict=True):
        rows.load_model(model, checkpoint)
        cams = {one: rows.predict_cams(model, pipeline, one) for one in progress(photos, title)}
        columns[title] = [
            cams[row.photo][[row.photo.classes.index(k) for k in row.classes]] for row in shown
        ]
    return pictures.draw_cams(
        [row.photo.image() for row in shown],
        columns,
        [row.photo.mask() for row in shown],
        model_metainfo(classes)['palette'],
        [row.title for row in shown],
        args.cell,
    )


def draw_prompts(args: argparse.Namespace, config: Config) -> Image.Image:
    """Figure 4 of the paper."""
    import torch

    from semples_mmseg.figures import prompt_figure, rows
    from semples_mmseg.utils.parallel import progress

    photos = rows.read_photos(config, args.images, args.tags)
    shown = rows.choose_rows(photos, rows.config_classes(config), args.classes, per_class=True)
    model, learned = load_prompts(args, config)
    words = args.manual or prompt_figure.CLIMS_BACKGROUNDS
    manual = model.text_head.encode_sentences([f'a photo of {word}.' for word in words])
    images, maps = [row.photo.image() for row in shown], []
    for row, image in progress(zip(shown, images, strict=True), 'prompt maps', len(shown)):
        features = torch.cat([learned[list(row.classes)], manual])
        maps.append(prompt_figure.prompt_maps(model, image, features, args.method))
    titles = [row.title for row in shown]
    return prompt_figure.draw_prompts(images, maps, words, titles, args.cell)


def load_prompts(args: argparse.Namespace, config: Config) -> tuple[Any, Tensor]:
    """The model, and the features of its learned prompts."""
    from semples_mmseg.figures import prompt_figure, rows

    model = rows.build_model(config)
    content = rows.load_model(model, args.checkpoint)
    return model, prompt_figure.trained_prompts(model, content, args.checkpoint)


def list_words(args: argparse.Namespace, config: Config) -> None:
    """Print the words nearest to the prompt of every class."""
    from semples_mmseg.figures import rows, words
    from semples_mmseg.utils.io import write_json

    listed = words.read_words(args.words or words.NOUNS)
    model, prompts = load_prompts(args, config)
    known, features = words.encode_words(model.text_head, listed)
    names = rows.config_classes(config).names
    found = words.nearest_words(prompts, names, known, features, args.count)
    if args.json:
        content = {name: [near._asdict() for near in some] for name, some in found.items()}
        write_json(args.json, content, ensure_ascii=False)
    if len(known) < len(listed):
        print(f'{len(listed) - len(known)} of {len(listed)} words are unknown to this CLIP')
    print(words.words_table(found))


def column_titles(checkpoints: Sequence[str]) -> list[str]:
    """File names without suffix, with their folder where they are the same."""
    paths = [Path(checkpoint) for checkpoint in checkpoints]
    stems = [path.stem for path in paths]
    different = len(set(stems)) == len(stems)
    return stems if different else [f'{path.parent.name}/{path.stem}' for path in paths]


if __name__ == '__main__':
    with exit_codes():
        main()
