"""Data sets by class name, by config, or by folders, as in the tools' options."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS

from ..datasets.weak_label import WeakLabelDataset
from ..utils.errors import Refusal


def dataset_class(name: str) -> type[WeakLabelDataset]:
    """The class of a weakly labelled data set, by its name or shorter: ``'voc'``, ``'demo'``."""
    known = {
        key: kind
        for key, kind in DATASETS.module_dict.items()
        if isinstance(kind, type) and WeakLabelDataset in kind.__mro__[1:]
    }
    for key, kind in known.items():
        if name == key or name.lower() == key.lower().removeprefix('weak').removesuffix('dataset'):
            return kind
    raise Refusal(
        f'no weakly labelled data set is called {name!r}; there are {", ".join(sorted(known))}, '
        "short names such as 'voc' for WeakVOCDataset included"
    )


def datasets_of_config(config: Config) -> dict[str, WeakLabelDataset]:
    """The weakly labelled data sets of a config by their dataloaders, built and not yet read.

    Each combination of list, labels and folders comes once.
    """
    named: dict[str, WeakLabelDataset] = {}
    seen = set()
    for loader in [key for key in config if key.endswith('_dataloader')]:
        for number, (kind, options) in enumerate(_weak_datasets(config[loader]), 1):
            options = {k: v for k, v in options.items() if k not in ('type', 'pipeline', 'indices')}
            dataset = kind(**{**options, 'lazy_init': True})
            prefix = sorted(dataset.data_prefix.items())
            files = (dataset.ann_file, dataset.label_file, *prefix)
            if files not in seen:
                seen.add(files)
                named[f'{loader} ({number})' if number > 1 else loader] = dataset
    if not named:
        raise Refusal(
            f'{config.filename} has no dataloader over a data set with image-level labels; give '
            'its folders instead'
        )
    return named


def dataset_of_folders(
    images: str,
    dataset: str | None = None,
    classes: Sequence[str] | None = None,
    root: str | None = None,
    ann_file: str = '',
    label_file: str | None = None,
    masks: str | None = None,
    img_suffix: str | Sequence[str] | None = None,
) -> WeakLabelDataset:
    """Build a data set, not yet read, by the options of ``check_dataset.py``."""
    prefix = dict(img_path=images, **(dict(seg_map_path=masks) if masks else {}))
    options: dict[str, Any] = dict(
        ann_file=ann_file, data_root=root, data_prefix=prefix, test_mode=True, lazy_init=True
    )
    if label_file is not None:
        options['label_file'] = label_file
    if dataset is None:
        built = WeakLabelDataset(class_names=classes, **options)
    else:
        built = dataset_class(dataset)(**options)
    if not ann_file:
        built.ann_file = ''  # some classes have their own list
    if img_suffix is not None:
        built.img_suffix = img_suffix
    return built


def _weak_datasets(node: Any) -> Iterator[tuple[type[WeakLabelDataset], Mapping]]:
    """Class and config of the weakly labelled data sets, those inside wrappers included."""
    if isinstance(node, Mapping):
        kind = node.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, WeakLabelDataset):
            yield kind, node
            return
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _weak_datasets(value)
