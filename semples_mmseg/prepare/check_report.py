"""What the dataset check found, as data and as tables."""

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

FINDINGS = (
    'images missing',
    'images unreadable',
    'images almost black',
    'images with another suffix',
    'images whose name is no image id',
    'images without labels',
    'labels without images',
    'labels unreadable',
    'masks missing',
    'masks unreadable',
    'mask values out of range',
    'sizes of image and mask differ',
    'classes that labels and masks disagree on',
)
"""What is wrong: with any of these the data set is not clean."""

NOTES = ('images with an empty list of labels', 'labels and mask name different classes')
"""What may be intended."""


@dataclass
class Report:
    """What was found in one data set.

    Attributes:
        name: What was checked.
        images: Number of images listed.
        labelled: Images by class, counted from the image-level labels.
        masked: Images by class, counted from the masks; None if no masks were checked.
        findings: Image ids (class names for the last kind) and what is wrong with them, by kind;
            see ``FINDINGS``.
        notes: The same for ``NOTES``.
    """

    name: str
    images: int
    labelled: dict[str, int]
    masked: dict[str, int] | None
    findings: dict[str, dict[str, str]] = field(default_factory=lambda: {k: {} for k in FINDINGS})
    notes: dict[str, dict[str, str]] = field(default_factory=lambda: {k: {} for k in NOTES})

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return not any(self.findings.values())

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return dict(vars(self), clean=self.clean)


def print_report(report: Report, console: Console) -> None:
    """Print the counts per class and what was found."""
    console.print(f'{report.name}: {report.images} images', markup=False, soft_wrap=True)
    classes = Table('class')
    classes.add_column('labelled', justify='right')
    if report.masked is not None:
        classes.add_column('in mask', justify='right')
    for name, count in report.labelled.items():
        row = [count] if report.masked is None else [count, report.masked[name]]
        classes.add_row(escape(name), *map(str, row))
    console.print(classes)
    for title, kinds in (('wrong', report.findings), ('notes', report.notes)):
        table = Table(title, 'examples')
        table.add_column('number', justify='right')
        for kind, found in kinds.items():
            if found:
                shown = [f'{i}: {detail}' for i, detail in list(found.items())[:3]]
                table.add_row(kind, escape('\n'.join(shown)), str(len(found)))
        if table.row_count:
            console.print(table)
    console.print('clean' if report.clean else '[red]not clean[/red]')
