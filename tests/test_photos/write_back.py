"""Write masks with the library of the label tool itself: ``write_back.py FORMAT IN.npz OUT``.

A program of its own, as ``read_back.py``. ``IN.npz`` has the label map of every photo by its path.
"""

import json
import sys
from pathlib import Path

import numpy as np
from read_back import CLASSES


def labelme(labels, out):
    """labelme itself."""
    from labelme._label_file import LabelFile
    from labelme.utils import img_arr_to_b64

    for name, label in labels.items():
        shapes = []
        for index in np.unique(label[label > 0]):
            rows, columns = np.nonzero(label == index)
            box = [[columns.min(), rows.min()], [columns.max(), rows.max()]]
            crop = label[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == index
            shape = dict(label=CLASSES[index], points=np.array(box, float).tolist(), flags={})
            shape |= dict(shape_type='mask', mask=img_arr_to_b64(crop.astype(np.uint8)))
            shapes.append(shape | dict(description='', group_id=None, other_data={}))
        file = (out / name).with_suffix('.json')
        file.parent.mkdir(parents=True, exist_ok=True)
        LabelFile().save(str(file), shapes, Path(name).name, *label.shape, flags={}, other_data={})


def labelstudio(labels, out):
    """Label Studio's SDK writes the brushes; the form of an export is ours."""
    from label_studio_sdk.converter.brush import mask2rle

    tasks = []
    for name, label in labels.items():
        common = dict(original_width=label.shape[1], original_height=label.shape[0])
        results = [
            common
            | dict(
                type='brushlabels',
                value=dict(
                    format='rle',
                    rle=mask2rle(((label == index) * 255).astype(np.uint8)),
                    brushlabels=[CLASSES[index]],
                ),
            )
            for index in np.unique(label[label > 0])
        ]
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
            dm.Mask(image=label == index, label=index - 1, id=index, group=index)
            for index in np.unique(label[label > 0]).tolist()
        ]
        media = dm.Image.from_numpy(np.zeros((*label.shape, 3), np.uint8))
        items.append(dm.DatasetItem(id=name.rpartition('.')[0], media=media, annotations=masks))
    dataset = dm.Dataset.from_iterable(items, categories=CLASSES[1:])
    dataset.export(str(out), format, save_media=False)


def yolo(labels, out):
    """supervision, with the names of photos that YOLO has in one folder."""
    import cv2
    import supervision as sv

    found = {}
    for name, label in labels.items():
        photo = out / 'images' / name.replace('sub/a', 'sub__a').removeprefix('sub/')
        photo.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(photo), np.zeros((*label.shape, 3), np.uint8))
        ids = np.unique(label[label > 0])
        masks = np.array([label == index for index in ids]).reshape(-1, *label.shape)
        boxes = sv.mask_to_xyxy(masks) if len(ids) else np.zeros((0, 4))
        found[str(photo)] = sv.Detections(xyxy=boxes, mask=masks, class_id=ids.astype(int) - 1)
    dataset = sv.DetectionDataset(classes=CLASSES[1:], images=[*found], annotations=found)
    dataset.as_yolo(None, str(out / 'labels'), str(out / 'data.yaml'))


if __name__ == '__main__':
    format, source, out = sys.argv[1], dict(np.load(sys.argv[2])), Path(sys.argv[3])
    if format in globals():
        globals()[format](source, out)
    else:
        datumaro(source, out, format)
