"""The object classes that a config names."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import Refusal
from .label_png import class_colours
from .names import check_class_names


class ObjectClasses(NamedTuple):
    """K object classes, background not counted: names, names in CLIP's sentences, and the RGB of
    background and of each class; None is VOC's colours.
    """

    names: tuple[str, ...]
    prompts: tuple[str, ...]
    palette: list[list[int]] | None = None

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes`` (background first) and the palette, if any, as in MMSeg's data sets."""
        classes = dict(classes=('background', *self.names))
        return classes if self.palette is None else dict(classes, palette=self.palette)


def read_classes(class_names: str | Sequence[str], where: str = 'class_names') -> ObjectClasses:
    """Read the option ``class_names`` of a model or a data set; ``where`` names it in errors.

    It is a list of names, or the name of a registered data set, whose classes and palette are
    taken. In a list, ``'person|player'`` is the class person, called player in CLIP's sentences.
    """
    if isinstance(class_names, str):
        from mmseg.registry import DATASETS  # predictions run where it is not installed

        known = DATASETS.get(class_names)
        if known is None:
            raise Refusal(
                f'{where}: {class_names!r} is not a registered data set; a list of names is '
                f'possible, of one class [{class_names!r}]'
            )
        first, *names = known.METAINFO.get('classes') or ('',)
        if first.lower() != 'background' or not names:
            raise Refusal(f'{where}: the classes of {class_names} do not begin with background')
        prompts = [getattr(known, 'PROMPT_NAMES', {}).get(name, name) for name in names]
        palette = [list(colour) for colour in known.METAINFO['palette']]
        return ObjectClasses(tuple(names), tuple(prompts), palette)
    if not class_names or any(str(name).count('|') > 1 for name in class_names):
        raise Refusal(
            f'{where}: expected class names, or "name|name for CLIP", got {list(class_names)}'
        )
    names = [label_name(name) if isinstance(name, str) else name for name in class_names]
    prompts = [prompt_name(name) if isinstance(name, str) else name for name in class_names]
    check_class_names(names, where)
    check_class_names(list(dict.fromkeys(prompts)), where)
    if names[0].lower() == 'background':
        raise Refusal(f'{where}: background is not an object class; leave it out')
    return ObjectClasses(tuple(names), tuple(prompts))


def label_name(name: str) -> str:
    """The name of a class for people: the part before the ``|`` of ``person|player``."""
    return name.partition('|')[0].strip()


def prompt_name(name: str) -> str:
    """The name of a class for CLIP: the part after the ``|`` of ``person|player``."""
    return name.rpartition('|')[2].strip()


def model_metainfo(classes: ObjectClasses) -> dict[str, Any]:
    """``dataset_meta`` of a model of these classes, with VOC's colours if they have none."""
    return dict(dict(palette=class_colours(len(classes.names) + 1)), **classes.metainfo)


def check_same_classes(own: Sequence[str], given: Sequence[str], what: str) -> None:
    """Refuse classes, background included, that differ from a model's; ``what`` has them."""
    if tuple(given) != tuple(own):
        kind = 'order' if {*given} == {*own} else 'names'
        raise Refusal(
            f'the classes of the {what} and of the model differ in their {kind}:\n'
            f'  {what}: {", ".join(given)}\n'
            f'  {"model":{len(what)}}: {", ".join(own)}\n'
            'Give model.class_names and the class_names of all data sets the same value, that '
            'which the checkpoint, if any, was trained with'
        )


def merge_class_names(
    metainfo: Mapping | None, class_names: str | Sequence[str] | None
) -> dict[str, Any] | None:
    """Options ``class_names`` and ``metainfo`` of a data set; the latter replaces a name of one."""
    if class_names is None:
        return dict(metainfo) if metainfo else None
    named = read_classes(class_names).metainfo
    given = tuple((metainfo or {}).get('classes', named['classes']))
    if given != named['classes'] and isinstance(class_names, str):
        return dict(metainfo or {})
    if given != named['classes']:
        raise Refusal(
            f"class_names {named['classes'][1:]} and metainfo['classes'] {given} differ; the "
            'latter is the former with background in front. Give one of them'
        )
    return {**named, **(metainfo or {})}
