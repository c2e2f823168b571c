"""Read masks with the library of the label tool itself: ``read_back.py FORMAT PATH OUT.npz``.

A program of its own, because these libraries need other versions of NumPy, Pillow and OpenCV than
training does. It knows nothing of the package. ``OUT.npz`` gets the label map of every photo; ids
count the names of ``CLASSES``, which is what the tool shows.
"""

import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

CLASSES = ['background', 'cat & dog', 'tree']


def labelme(folder):
    """labelme itself; it opens the photo and refuses one of another size."""
    from labelme._label_file import LabelFile
    from labelme.utils import img_data_to_arr, shapes_to_label

    for path in folder.rglob('*.json'):
        file = LabelFile(str(path))
        size = img_data_to_arr(file.image_data).shape
        ids = {name: number for number, name in enumerate(CLASSES)}
        label, _ = shapes_to_label(size, file.shapes, ids)
        yield (path.relative_to(folder).parent / file.image_path.rpartition('/')[2]), label


def labelstudio(path):
    """Label Studio's SDK, which also checks the tasks by the labelling configuration."""
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(path.with_suffix('.xml').read_text())
    for task in json.loads(path.read_text()):
        assert interface.validate_task(dict(data=task['data']))
        (prediction,) = task['predictions']
        errors = interface.validate_prediction(prediction, return_errors=True)
        assert not errors, errors
        label = np.zeros(0)
        for result in prediction['result']:
            size = result['original_height'], result['original_width']
            label = label if label.size else np.zeros(size, int)
            alpha = decode_rle(result['value']['rle']).reshape(*size, 4)[..., 3]
            assert set(np.unique(alpha)) <= {0, 255}
            (name,) = result['value']['brushlabels']
            label[alpha > 0] = CLASSES.index(name)
        yield task['data']['image'], label


def voc(folder):
    """Datumaro, by which CVAT reads archives of masks."""
    import datumaro as dm

    dataset = dm.Dataset.import_from(str(folder), 'voc_segmentation')
    names = dataset.categories()[dm.AnnotationType.label]
    for item in dataset:
        label = None
        for mask in item.annotations:
            if label is None:
                label = np.zeros(mask.image.shape, int)
            name = names[mask.label].name
            label[mask.image > 0] = 255 if name == 'ignored' else CLASSES.index(name)
        yield item.id, np.zeros(0) if label is None else label


def cvat(path):
    """The same, of an archive."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(path).extractall(folder)
        yield from voc(Path(folder))


def yolo(folder):
    """supervision, which reads Ultralytics' polygons as masks."""
    import supervision as sv

    dataset = sv.DetectionDataset.from_yolo(
        str(folder / 'images'), str(folder / 'labels'), str(folder / 'data.yaml'), force_masks=True
    )
    assert dataset.classes == CLASSES[1:], dataset.classes
    for path, image, found in dataset:
        label = np.zeros(image.shape[:2], int)
        for mask, number in zip(found.mask if len(found) else (), found.class_id, strict=True):
            label[mask] = number + 1
        yield Path(path).stem, label


if __name__ == '__main__':
    format, path, out = sys.argv[1:]
    labels = {str(name): label for name, label in globals()[format](Path(path))}
    np.savez(out, **labels)
