"""Image-level labels in a JSON file: class names or indices."""

from collections.abc import Sequence
from typing import Any

from ..utils.errors import Missing, Refusal
from ..utils.files import read_json
from ..utils.lists import explain_unknown
from ..utils.names import check_image_id

Label = str | int

_NO_ROWS = (
    'A label is a class name or its index. Replace multi-hot rows of zeros and ones by names; '
    'tools/dataset_converters/cls_labels.py does so for cls_labels.npy'
)


def read_label_file(
    path: str, num_classes: int, backend_args: dict | None = None
) -> dict[str, Any]:
    """Read a JSON object ``{"image id": ["class name", ...]}``; see ``class_names_of`` for a list.

    Refused are ids that are repeated or no paths inside a folder, and rows of K zeros and ones.
    """
    if str(path).endswith('.npy'):
        raise Refusal(
            f'label_file {path}: expected JSON; tools/dataset_converters/cls_labels.py converts it'
        )
    try:
        labels = read_json(path, 'label_file', backend_args)
    except FileNotFoundError:
        raise Missing(f'label_file {path} does not exist') from None
    if not isinstance(labels, dict):
        raise Refusal(
            f'label_file {path} holds a JSON {type(labels).__name__}; expected an object '
            '{"image id": ["class name", ...]}'
        )
    for img_id in labels:
        check_image_id(img_id, f'label_file {path}')
    # Of more classes, rows have a number twice, which ``class_names_of`` refuses.
    if num_classes == 2 and len(labels) > 1 and all(r in ([0, 1], [1, 0]) for r in labels.values()):
        raise Refusal(f'label_file {path}: every entry is a row of zeros and ones. {_NO_ROWS}')
    return labels


def class_names_of(labels: Any, classes: Sequence[str], where: str) -> list[str]:
    """Class names of one image from names and 0-based indices of object classes, checked."""
    if isinstance(labels, str) or not isinstance(labels, Sequence):
        raise Refusal(f'{where}: expected a list of class names, got {labels!r}')
    indices = [label for label in labels if type(label) is int]
    if len({*indices}) < len(indices):
        raise Refusal(f'{where}: {labels} names a class index twice. {_NO_ROWS}')
    for label in labels:
        if type(label) is int:
            if not 0 <= label < len(classes):
                raise Refusal(
                    f'{where}: class index {label} is out of range; the {len(classes)} object '
                    f'classes are 0..{len(classes) - 1} (background is not counted). {_NO_ROWS}'
                )
        elif label not in classes:
            raise Refusal(f'{where}: {explain_unknown(label, classes)}')
    return [classes[label] if type(label) is int else label for label in labels]
