"""Running the small tools without the seconds that a new process takes to import torch."""

import runpy
import sys
from pathlib import Path
from typing import Any
from unittest import mock

TOOLS = Path(__file__).parents[1] / 'tools'


def run_tool(tool: str, *arguments: Any) -> int:
    """Run a tool as a script in this process and return its exit code.

    An error that the tool has turned into a message is raised.
    """
    with mock.patch.object(sys, 'argv', [tool, *map(str, arguments)]):
        try:
            runpy.run_path(str(TOOLS / tool), run_name='__main__')
        except SystemExit as end:
            if isinstance(end.__cause__, Exception):
                raise end.__cause__ from None
            assert isinstance(end.code, int)
            return end.code
    return 0
