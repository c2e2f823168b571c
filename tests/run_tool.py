"""Running the small tools without the seconds that a new process takes to import torch."""

import runpy
import sys
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).parents[1] / 'tools'


def run_tool(tool, *arguments):
    """Run a tool (or ``-m`` and a module) in this process and return its exit code.

    An error that the tool has turned into a message is raised.
    """
    module = tool == '-m'
    program, *given = (str(part) for part in (arguments if module else (tool, *arguments)))
    with mock.patch.object(sys, 'argv', [program, *given]):
        try:
            if module:
                runpy.run_module(program, run_name='__main__')
            else:
                runpy.run_path(str(TOOLS / program), run_name='__main__')
        except SystemExit as end:
            if isinstance(end.__cause__, Exception):
                raise end.__cause__ from None
            assert isinstance(end.code, int)
            return end.code
    return 0
