"""Data set classes by the names people use on a command line."""

from mmseg.registry import DATASETS

from ..datasets.weak_label import WeakLabelDataset


def dataset_class(name: str) -> type[WeakLabelDataset]:
    """Find the class of a weakly labelled data set.

    Args:
        name: Its name in the registry, or short: ``'voc'`` for ``WeakVOCDataset``, ``'demo'`` for
            ``DemoDataset``.

    Returns:
        The class.

    Raises:
        ValueError: If there is none of that name.
    """
    known = {
        key: kind
        for key, kind in DATASETS.module_dict.items()
        if isinstance(kind, type)
        and issubclass(kind, WeakLabelDataset)
        and kind is not WeakLabelDataset
    }
    for key, kind in known.items():
        short = key.lower().removeprefix('weak').removesuffix('dataset')
        if name == key or name.lower() == short:
            return kind
    raise ValueError(
        f'no weakly labelled data set is called {name!r}; there are {", ".join(sorted(known))}, '
        "short names such as 'voc' for WeakVOCDataset included"
    )
