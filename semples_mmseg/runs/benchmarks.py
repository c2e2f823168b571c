"""The paper's data sets: files, numbers of images, configs and published figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Benchmark:
    """A data set of the paper, and its configs.

    Attributes:
        name: Name on the command line.
        title: Full name.
        data_root: Default folder of the data set.
        converter: Tool that prepares it.
        sources: Files of the download that the converter reads, relative to the data root.
        prepared: Files and folders that the converter writes.
        label_file: Image-level labels of all splits; empty if the configs name them.
        train: List of the training images, their folder and number.
        val: The same for the images that the retrained model is evaluated on.
        val_masks: Their masks.
        scored: List of the training images whose pseudo masks are evaluated, and their number.
        train_masks: Their masks; without them, pseudo masks are not evaluated.
        classes: Name of the classes for ``tools/eval_pseudo_masks.py``.
        scales: Number of scales of CAM inference.
        weaktr, semples, segmenter: Configs.
        labelled: Config of the Segmenter on labelled training images, if there is one.
        server: Config of the archive for the evaluation server, if there is one.
        paper: mIoU published by SemPLeS, by row of the final table.
    """

    name: str
    title: str
    data_root: str
    converter: str
    sources: tuple[str, ...]
    prepared: tuple[str, ...]
    label_file: str
    train: tuple[str, str, int]
    val: tuple[str, str, int]
    val_masks: str
    scored: tuple[str, int]
    train_masks: str
    classes: str
    scales: int
    weaktr: str
    semples: str
    segmenter: str
    labelled: str | None = None
    server: str | None = None
    paper: Mapping[str, float] = field(default_factory=dict)


VOC12 = Benchmark(
    name='voc12',
    title='PASCAL VOC 2012',
    data_root='data/VOCdevkit/VOC2012',
    converter='tools/dataset_converters/voc.py',
    sources=('ImageSets/Segmentation/train.txt', 'ImageSets/Segmentation/val.txt'),
    prepared=('ImageSets/Segmentation/train_aug.txt', 'image_labels.json', 'SegmentationClassAug'),
    label_file='image_labels.json',
    train=('ImageSets/Segmentation/train_aug.txt', 'JPEGImages', 10582),
    val=('ImageSets/Segmentation/val.txt', 'JPEGImages', 1449),
    val_masks='SegmentationClassAug',
    scored=('ImageSets/Segmentation/train.txt', 1464),
    train_masks='SegmentationClassAug',
    classes='voc',
    scales=2,
    weaktr='configs/weaktr/weaktr_deit-s_voc12.py',
    semples='configs/semples/voc_refine.py',
    segmenter='configs/segmenter/segmenter_deit-s_voc12.py',
    labelled='configs/segmenter/segmenter_deit-s_voc12_labelled-train.py',
    server='configs/segmenter/segmenter_deit-s_voc12_test-server.py',
    paper=dict(seed=68.7, mask=78.3, val=74.2),
)
COCO14 = Benchmark(
    name='coco14',
    title='MS COCO 2014',
    data_root='data/coco',
    converter='tools/dataset_converters/coco14.py',
    sources=('annotations/instances_train2014.json', 'annotations/instances_val2014.json'),
    prepared=(
        *('ImageSets/train.txt', 'ImageSets/val.txt'),
        *('labels_train.json', 'labels_val.json', 'masks/val2014'),
    ),
    label_file='',
    train=('ImageSets/train.txt', 'train2014', 82081),
    val=('ImageSets/val.txt', 'val2014', 40137),
    val_masks='masks/val2014',
    scored=('ImageSets/train.txt', 82081),
    train_masks='masks/train2014',
    classes='coco',
    scales=3,
    weaktr='configs/weaktr/weaktr_deit-s_coco14.py',
    semples='configs/semples/coco_refine.py',
    segmenter='configs/segmenter/segmenter_deit-s_coco14.py',
    paper=dict(val=44.9),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in (VOC12, COCO14)}
