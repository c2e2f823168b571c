"""The weakly tagged data set of the demo world, drawn on first use."""

from typing import Any

from mmseg.registry import DATASETS

from ..datasets.weak_label import WeakLabelDataset
from .world import OBJECTS, PALETTE
from .world.sets import make_demo_set


@DATASETS.register_module()
class DemoDataset(WeakLabelDataset):
    """Drawn scenes of 64 x 64 pixels with six objects, mostly on their habitual backgrounds.

    If ``data_root`` is missing or empty, the set is drawn into it, which takes a few seconds.
    Masks are for evaluation only.

    Args:
        data_root: Folder of the set, see ``make_demo_set``.
        split: ``'train'`` or ``'val'``; the same as ``ann_file='ImageSets/<split>.txt'``.
        seed: Seed of the scenes.
        num_train: Number of training scenes.
        num_val: Number of held-out scenes.
        **kwargs: Passed on to ``WeakLabelDataset``.

    Raises:
        FileExistsError: If ``data_root`` holds something else, or a set of other settings.
    """

    METAINFO = dict(
        classes=('background', *OBJECTS),
        palette=[list(colour) for colour in PALETTE],
    )

    def __init__(
        self,
        data_root: str = 'data/demo',
        split: str = 'train',
        seed: int = 0,
        num_train: int = 600,
        num_val: int = 200,
        **kwargs: Any,
    ) -> None:
        self._settings = dict(seed=seed, train=num_train, val=num_val)
        places: dict[str, Any] = dict(
            ann_file=f'ImageSets/{split}.txt',
            label_file='labels.json',
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            img_suffix='.png',
            seg_map_suffix='.png',
        )
        super().__init__(data_root=data_root, **places | kwargs)

    def load_data_list(self) -> list[dict]:
        """Draw the set if it is missing, then read its lists."""
        make_demo_set(self.data_root, **self._settings)
        return super().load_data_list()
