"""The console of all commands."""

from typing import Any

from rich.console import Console


def plain_console(**options: Any) -> Console:
    """A console of rich that prints names of photos and classes as they are, without its markup."""
    return Console(markup=False, emoji=False, **options)
