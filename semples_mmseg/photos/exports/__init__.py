"""Masks in the formats of label tools. Importing this package is fast."""

FORMATS = {
    'coco': 'a JSON file',
    'labelme': 'a folder',
    'cvat': 'a .zip file',
    'labelstudio': 'a JSON file',
    'voc': 'a folder',
    'yolo': 'a folder',
}
"""The formats, and what each of them writes."""

FOLDERS_OF_PHOTOS = {'voc': 'JPEGImages', 'yolo': 'images'}
"""Formats that keep photos beside the masks, and in which folder."""

URL = '/data/local-files/?d='
"""Prefix of the path of a file that Label Studio serves from disk."""
