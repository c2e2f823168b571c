"""Draw photos with the models of a cell of the study: CAM of the tag, pseudo mask, retrained model.

DATA_ROOT=data/real_photos/voc_animals python projects/real_photos/picture.py \
    work_dirs/real_photos/voc_animals_0 cat=chelsea.png person=astronaut.png --out picture.jpg
"""

import argparse
from pathlib import Path

import numpy as np
from mmseg.apis import inference_model, init_model
from PIL import Image

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.figures.pictures import picture_grid
from semples_mmseg.inference import SemPLeSInferencer
from semples_mmseg.masks.generate import recorded_score
from semples_mmseg.photos.explorer import PhotoCams
from semples_mmseg.photos.overlays import overlay_mask
from semples_mmseg.utils.images import read_image
from semples_mmseg.utils.io import atomic_write
from semples_mmseg.utils.label_png import class_colours
from semples_mmseg.utils.record import Record

CONFIGS = Path(__file__).with_name('configs')


def draw(run: Path, photos: dict[str, str]) -> Image.Image:
    """A row for each path of ``photos``, which has its tag."""
    semples, weights = str(CONFIGS / 'semples.py'), f'weights:{run}/semples/refine.pth'
    inferencer = SemPLeSInferencer(semples, weights, scope='mmseg', device='cpu')
    weights = str(run / 'segmenter' / 'weights.pth')
    model = init_model(str(CONFIGS / 'segmenter.py'), weights, device='cpu')
    names = inferencer.cfg.model.class_names
    palette = class_colours(len(names) + 1)
    score, rows = recorded_score(Record(run / 'masks')), []
    for path, tag in photos.items():
        photo = read_image(path)
        found = PhotoCams.of(inferencer, names, photo, [tag])
        pixels = np.ascontiguousarray(photo[..., ::-1])
        predicted = inference_model(model, pixels).pred_sem_seg.data[0].numpy()
        masks = found.mask(score, crf=True), predicted.astype(np.uint8)
        overlays = (overlay_mask(photo, mask, palette) for mask in masks)
        rows.append((photo, found.picture(), *overlays))
    titles = 'photo', 'CAM of the tag', 'pseudo mask', 'model, without tag'
    columns = dict(zip(titles, map(list, zip(*rows, strict=True)), strict=True))
    return Image.fromarray(picture_grid(columns, 200, list(photos.values())))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Draw photos with the models of the study')
    parser.add_argument('run', type=Path, help='folder of a data set and a seed')
    parser.add_argument('photos', nargs='+', metavar='TAG=PHOTO')
    parser.add_argument('--out', type=Path, required=True, help='JPEG file to write')
    args = parser.parse_args()
    register_components()
    photos = dict(reversed(text.split('=', 1)) for text in args.photos)
    picture = draw(args.run, photos)
    with atomic_write(args.out, 'wb') as file:
        picture.save(file, format='JPEG', quality=85)


if __name__ == '__main__':
    with exit_codes():
        main()
