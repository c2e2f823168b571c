"""Steps that run the command line tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.files import file_of_each
from ..utils.record import RECORD
from ..weights.latest_checkpoint import POINTER
from .steps import OPTIONS, Step


@dataclass(frozen=True)
class Tools:
    """Makes steps that run the tools of a clone.

    In its methods, ``config`` is relative to ``root``, ``options`` are ``key=value`` settings of
    the config, and other arguments have the names of ``Step``'s attributes.

    Attributes:
        root: Folder of ``configs`` and ``tools``.
        folder: Folder of the results.
        gpus: Processes of each step, one per GPU.
    """

    root: Path
    folder: Path
    gpus: int = 1

    def train(
        self,
        name: str,
        config: str,
        work_dir: Path,
        options: Sequence[str],
        inputs: Sequence[Path],
        outputs: Sequence[str],
        *arguments: str,
        **details: Any,
    ) -> Step:
        """``tools/train.py``, resumed when interrupted; writes ``outputs`` into ``work_dir``."""
        start = ('--work-dir', str(work_dir), *arguments)
        return Step(
            name,
            self._command('train.py', config, *start, options=options),
            inputs=tuple(inputs),
            outputs=tuple(work_dir / output for output in outputs),
            config=self.root / config,
            resume=('--resume',),
            resume_from=work_dir / POINTER,
            **details,
        )

    def test(
        self,
        name: str,
        config: str,
        weights: Sequence[Path],
        metrics: str,
        options: Sequence[str],
        *arguments: str,
        outputs: Sequence[Path] = (),
        **details: Any,
    ) -> Step:
        """``tools/test.py``; writes the file ``metrics`` and the outputs of ``arguments``.

        With several weights, each has its own file, ``seeds_match.json`` for ``match.pth``.
        """
        out = self.folder / metrics
        start = (*map(str, weights), '--metrics', str(out))
        start += ('--work-dir', str(self.folder / 'test'))
        return Step(
            name,
            self._command('test.py', config, *start, *arguments, options=options),
            inputs=tuple(weights),
            outputs=(*file_of_each(out, weights), *outputs),
            config=self.root / config,
            **details,
        )

    def pseudo_masks(
        self,
        config: str,
        weights: Path,
        masks: Path,
        options: Sequence[str],
        inputs: Sequence[Path] = (),
        **details: Any,
    ) -> Step:
        """``tools/make_pseudo_masks.py``, resumed when interrupted; writes the folder ``masks``."""
        start = (str(weights), '--out', str(masks), '--work-dir', str(self.folder / 'test'))
        return Step(
            'pseudo masks',
            self._command('make_pseudo_masks.py', config, *start, options=options),
            inputs=(weights, *inputs),
            outputs=(masks,),
            config=self.root / config,
            fresh=('--overwrite',),
            resume_from=masks / RECORD,
            **details,
        )

    def _command(
        self, tool: str, config: str, *arguments: str, options: Sequence[str]
    ) -> tuple[str, ...]:
        """A tool, started by the distributed launcher if there are several GPUs."""
        command = (str(self.root / 'tools' / tool), str(self.root / config), *arguments)
        if self.gpus > 1:
            launcher = ('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node')
            command = (*launcher, str(self.gpus), *command, '--launcher', 'pytorch')
        return (*command, OPTIONS, *options) if options else command


def dataset_options(loaders: Sequence[str], **settings: str | Path) -> list[str]:
    """Options that set keys of the data sets of several loaders.

    Args:
        loaders: ``'train'``, ``'val'``, ``'test'``, ``'pseudo_mask'``.
        **settings: Key of the data set and its value; ``__`` stands for a dot.
    """
    return [
        f'{loader}_dataloader.dataset.{key.replace("__", ".")}={value}'
        for loader in loaders
        for key, value in settings.items()
    ]
