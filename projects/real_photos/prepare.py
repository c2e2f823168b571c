"""Make the data sets of the study from folders of photos, tags and masks.

python projects/real_photos/prepare.py voc_animals FOLDER --out data/real_photos
python projects/real_photos/prepare.py msrc FOLDER --out data/real_photos --segments

The photos stay where they are, a link leads to them. The masks are for evaluation alone: their ids
are those of the study's classes, and pixels of all other classes are 255, which is ignored.
"""

import argparse
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.figures.words import read_words
from semples_mmseg.photos.tags import labels_of, read_tagged, write_dataset
from semples_mmseg.photos.vocabulary import known_words
from semples_mmseg.utils.images import read_image
from semples_mmseg.utils.io import atomic_write
from semples_mmseg.utils.label_png import IGNORED, mask_path, write_mask
from semples_mmseg.utils.lists import read_image_ids
from semples_mmseg.utils.parallel import progress

_MSRC = 'cow horse sheep aeroplane person car bicycle flower sign bird book chair cat dog boat'
# `train`, `scored`, `held`: lists of ids to train on, to measure seeds and pseudo masks on, and to
# test retrained models on; without them, all tagged photos that are not held out. `ids`: names of
# the mask ids 1, 2, ...; tags that are none of the `classes` are dropped.
SOURCES: dict[str, dict[str, Any]] = dict(
    voc_animals=dict(
        photos='JPEGImages',
        tags='labels.json',
        lists=dict(train='train.txt', scored='train_eval.txt', held='val.txt'),
        ids=PascalVOCDataset.METAINFO['classes'][1:],
        classes=['cat', 'chair', 'cow', 'dog', 'horse', 'person', 'sheep', 'sofa'],
    ),
    msrc=dict(
        photos='photos',
        tags='tags.csv',
        lists=dict(held='heldout.txt'),
        ids=_MSRC.split(),
        classes=[name for name in _MSRC.split() if name != 'horse'],
    ),
)


def prepare(source: dict[str, Any], folder: Path, out: Path) -> None:
    """Write lists, labels, masks, nouns that the small CLIP knows, and the link to the photos."""
    tagged = read_tagged(folder / source['photos'], folder / source['tags'])
    classes = source['classes']
    wanted = {photo: [tag for tag in tags if tag in classes] for photo, tags in tagged.tags.items()}
    tagged = replace(tagged, classes=classes, tags=wanted)
    write_dataset(tagged, out)
    lists = {key: read_image_ids(str(folder / name)) for key, name in source['lists'].items()}
    others = [name for name in labels_of(tagged) if name not in lists['held']]
    vocabulary = {*known_words('small')}
    words = [word for word in read_words() if word in vocabulary]
    lists = dict(train=others, scored=others, words=words) | lists
    for name, ids in lists.items():
        with atomic_write(out / f'{name}.txt') as file:
            file.writelines(f'{one}\n' for one in ids)
    table = np.full(256, IGNORED, np.uint8)
    table[[0, *(source['ids'].index(name) + 1 for name in classes)]] = range(len(classes) + 1)
    wanted = {*lists['scored'], *lists['held']}
    with zipfile.ZipFile(folder / 'masks.zip') as archive:
        for path in archive.namelist():
            if path.endswith('.png') and Path(path).stem in wanted:
                mask = np.asarray(Image.open(io.BytesIO(archive.read(path))))
                write_mask(mask_path(out / 'masks', Path(path).stem), table[mask])
    (out / 'photos').unlink(missing_ok=True)
    (out / 'photos').symlink_to(tagged.root.resolve())


def write_segments(out: Path) -> None:
    """Write the segments of every scored photo, ids from 1."""
    from skimage.segmentation import felzenszwalb

    (out / 'segments').mkdir(exist_ok=True)
    photos = {path.stem: path for path in (out / 'photos').iterdir()}
    names = read_image_ids(str(out / 'scored.txt'))
    for name in progress(names, 'segments', len(names)):
        found = felzenszwalb(read_image(str(photos[name])), scale=300, sigma=0.8, min_size=200)
        with atomic_write(mask_path(out / 'segments', name), 'wb') as file:
            Image.fromarray((found + 1).astype(np.uint16)).save(file, 'PNG')


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Make a data set of the study')
    parser.add_argument('dataset', choices=SOURCES)
    parser.add_argument('folder', type=Path, help='folder of the data set')
    parser.add_argument('--out', type=Path, required=True, help='folder of both data sets')
    parser.add_argument('--segments', action='store_true', help='write segments too')
    args = parser.parse_args()
    register_components()
    prepare(SOURCES[args.dataset], args.folder, args.out / args.dataset)
    if args.segments:
        write_segments(args.out / args.dataset)


if __name__ == '__main__':
    with exit_codes():
        main()
