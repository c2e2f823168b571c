"""The formats that there are; importing them takes no time."""

FORMATS = {
    'coco': 'a JSON file',
    'labelme': 'a folder',
    'cvat': 'a .zip file',
    'labelstudio': 'a JSON file',
    'voc': 'a folder',
    'yolo': 'a folder',
}
"""The formats, and what each of them writes."""
