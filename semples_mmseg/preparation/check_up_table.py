"""The doctor's findings as tables."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .check_up import CheckUp


def print_check_up(report: CheckUp, console: Console, examples: int = 3) -> None:
    """Print the counts per class and what was found.

    Args:
        report: Findings of one data set.
        console: Where to.
        examples: How many images of each kind of finding are named.
    """
    console.print(f'{report.name}: {report.images} images', markup=False, soft_wrap=True)
    classes = Table('class')
    classes.add_column('labelled', justify='right')
    if report.masked is not None:
        classes.add_column('in mask', justify='right')
    for name, count in report.labelled.items():
        row = [count] if report.masked is None else [count, report.masked[name]]
        classes.add_row(escape(name), *map(str, row))
    console.print(classes)
    for title, kinds in (('found', report.findings), ('to note', report.notes)):
        table = Table(title, 'examples')
        table.add_column('images', justify='right')
        for kind, images in kinds.items():
            if images:
                shown = [f'{i}: {detail}' for i, detail in list(images.items())[:examples]]
                table.add_row(kind, escape('\n'.join(shown)), str(len(images)))
        if table.row_count:
            console.print(table)
    console.print('clean' if report.clean else '[red]not clean[/red]')
