"""Image-level labels in a file: class names or indices."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..utils.errors import Refusal
from ..utils.lists import explain_unknown

Label = str | int

_NO_ROWS = (
    'A label is a class name or its index. Replace multi-hot rows of zeros and ones by names; '
    'tools/dataset_converters/cls_labels.py does so for cls_labels.npy'
)


def class_names_of(labels: Any, classes: Sequence[str], where: str) -> list[str]:
    """Names of the classes of one image.

    Args:
        labels: Class names or 0-based indices of object classes.
        classes: The object classes, background not counted.
        where: File and image, for error messages.

    Returns:
        Class names in the order of the labels.

    Raises:
        ValueError: If it is not a list, a name is unknown, an index is out of range or repeated.
    """
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


def refuse_multi_hot(labels: Mapping[str, Any], num_classes: int, where: str) -> None:
    """Refuse a label file in which every entry is a row of K zeros and ones.

    With two classes, ``[0, 1]`` may also be a list of both indices, but not in every image.

    Args:
        labels: Entries by image id.
        num_classes: K, background not counted.
        where: The file, for the error message.

    Raises:
        ValueError: If there are two entries or more and all are such rows.
    """
    rows = [
        isinstance(row, list)
        and len(row) == num_classes > 1
        and all(type(value) is int and value in (0, 1) for value in row)
        for row in labels.values()
    ]
    if len(rows) > 1 and all(rows):
        raise Refusal(f'{where}: every entry is a row of {num_classes} zeros and ones. {_NO_ROWS}')
