"""Write masks with the library of the label tool itself: ``write_back.py FORMAT IN.npz OUT``.

A program of its own, as ``read_back.py``. ``IN.npz`` has the label map of every photo by its path.
"""

import json
import sys
from pathlib import Path

import numpy as np
from read_back import CLASSES


def regions(label):
    return {index: label == index for index in np.unique(label[label > 0]).tolist()}


def labelme(labels, out):
    """labelme itself."""
    from labelme._label_file import LabelFile
    from labelme.utils import img_arr_to_b64

    for name, label in labels.items():
        shapes = []
        for index, region in regions(label).items():
            (top, left), (bottom, right) = (f(np.nonzero(region), 1) for f in (np.min, np.max))
            crop = region[top : bottom + 1, left : right + 1].astype(np.uint8)
            points = [[float(left), float(top)], [float(right), float(bottom)]]
            shape = dict(label=CLASSES[index], points=points, shape_type='mask', flags={})
            shape |= dict(mask=img_arr_to_b64(crop), description='', group_id=None, other_data={})
            shapes.append(shape)
        file = (out / name).with_suffix('.json')
        file.parent.mkdir(parents=True, exist_ok=True)
        LabelFile().save(str(file), shapes, Path(name).name, *label.shape, flags={}, other_data={})


def labelstudio(labels, out):
    """Label Studio's SDK writes the brushes; the rest has the form of an export."""
    from label_studio_sdk.converter.brush import mask2rle

    tasks = []
    for name, label in labels.items():
        results = []
        for index, region in regions(label).items():
            value = dict(format='rle', brushlabels=[CLASSES[index]])
            value['rle'] = mask2rle((region * 255).astype(np.uint8))
            size = dict(original_width=label.shape[1], original_height=label.shape[0])
            results.append(dict(size, type='brushlabels', value=value))
        data = dict(image=f'/data/local-files/?d={name}')
        tasks.append(dict(data=data, annotations=[dict(result=results)]))
    out.mkdir()
    (out / 'export.json').write_text(json.dumps(tasks))


def datumaro(labels, out, format):
    """Datumaro, by which CVAT writes its formats."""
    import datumaro as dm

    items = []
    for name, label in labels.items():
        masks = [
            dm.Mask(image=region, label=index - 1, id=index, group=index)
            for index, region in regions(label).items()
        ]
        media = dm.Image.from_numpy(np.zeros((*label.shape, 3), np.uint8))
        items.append(dm.DatasetItem(id=name.rpartition('.')[0], media=media, annotations=masks))
    dataset = dm.Dataset.from_iterable(items, categories=CLASSES[1:])
    dataset.export(str(out), format, save_media=False)


if __name__ == '__main__':
    format, source, out = sys.argv[1], dict(np.load(sys.argv[2])), Path(sys.argv[3])
    if format in globals():
        globals()[format](source, out)
    else:
        datumaro(source, out, format)
