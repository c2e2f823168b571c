"""Loading thousands of bad checkpoints, prompts, CLIP files and label files.

python tests/fuzz/fuzz_checkpoints.py --inputs 10000 --seed 0 [--loader checkpoints] [--again 17]
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkpoint_inputs as inputs
import torch
from harness import Findings, Limits, report, run
from mmengine.runner import CheckpointLoader

import semples_mmseg  # noqa: F401
from semples_mmseg.checkpoints import CheckpointError
from semples_mmseg.demo.models import BACKBONE_FILE, CLIP_FILE, FOLDER
from semples_mmseg.models import PromptLearner
from semples_mmseg.models.clip import loading
from semples_mmseg.preparation.cls_labels import read_cls_labels
from semples_mmseg.weights import load_weights, read_state_dict

# Small files, so that what a loader takes shows; reading the demo's CLIP takes 40 MiB.
LIMITS = Limits(memory=64 << 20)


@dataclass(frozen=True)
class Loader:
    """A loader to be tried.

    Attributes:
        make: Its inputs.
        load: It.
        allowed: Errors it may raise.
        suffix: Of its files.
    """

    make: inputs.Make
    load: Callable[[Path], Any]
    allowed: tuple[type[Exception], ...] = (CheckpointError,)
    suffix: str = '.pth'


def load_as_tools(path: Path) -> Any:
    """Load as load_from, --resume, init_cfg and the tools' arguments do."""
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')


def load_prompts(path: Path) -> None:
    """Load learned prompts of four tokens for three classes."""
    load_weights(PromptLearner(3, 24, 4), str(path))


def load_clip(path: Path) -> None:
    """Read a CLIP file and see whether it fits a module."""
    tensors, _ = loading._read_clip(path)
    loading._load_tensors(torch.nn.Linear(2, 2), tensors, f'{path} does not fit')


def loaders() -> dict[str, Loader]:
    """All of them by name."""
    whole = inputs.checkpoint()
    prompts = dict(prompts=torch.rand(3, 4, 24))
    small = dict(state_dict=whole['state_dict'])
    labels = inputs.labels()
    tables = inputs.of_safetensors((FOLDER / CLIP_FILE).read_bytes())
    return {
        'checkpoints': Loader(
            inputs.one_of(
                inputs.of_archives(
                    [inputs.written(whole), inputs.written(inputs.checkpoint(False))]
                ),
                inputs.of_sequences(inputs.sequence(whole)),
            ),
            load_as_tools,
        ),
        'prompts': Loader(
            inputs.one_of(
                inputs.of_archives([inputs.written(prompts)]),
                inputs.of_sequences(inputs.sequence(prompts)),
            ),
            load_prompts,
            (ValueError,),
        ),
        'safetensors': Loader(
            inputs.one_of(
                inputs.of_safetensors(inputs.safetensors({'a': torch.rand(9), **prompts})),
                inputs.of_safetensors((FOLDER / BACKBONE_FILE).read_bytes()),
            ),
            read_state_dict,
            suffix='.safetensors',
        ),
        'CLIP archives': Loader(
            inputs.of_archives([inputs.torchscript(), inputs.written(small)]),
            load_clip,
            (ValueError,),
            '.pt',
        ),
        'CLIP safetensors': Loader(tables, load_clip, (ValueError,), '.safetensors'),
        'labels': Loader(
            inputs.of_pickles(labels, 128),
            lambda path: read_cls_labels(path, ('cat', 'car', 'dog')),
            (ValueError,),
            '.npy',
        ),
    }


def try_loader(name: str, count: Any, seed: int = 0) -> Findings:
    """Load so many inputs, or those of some numbers, with one of the loaders."""
    loader = loaders()[name]
    return run(
        name, loader.make, loader.load, loader.allowed, LIMITS,
        inputs=count, seed=seed, suffix=loader.suffix,
    )  # fmt: skip


def main() -> int:
    """Run the command; 1 if there are bugs."""
    known = list(loaders())
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--inputs', type=int, default=1000, help='how many for each loader')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--loader', choices=known, action='append', help='default: all')
    parser.add_argument('--again', type=int, help='one input, to be kept as ./input.SUFFIX')
    args = parser.parse_args()
    chosen = args.loader or known
    if args.again is not None:
        loader = loaders()[chosen[0]]
        rng = random.Random(f'{chosen[0]}/{args.seed}/{args.again}')
        path = inputs.write(Path(f'input{loader.suffix}'), loader.make(rng))  # type: ignore
        loader.load(path)
        return 0
    code = 0
    for name in chosen:
        begun = time.monotonic()
        code |= report({name: try_loader(name, args.inputs, args.seed)})
        print(f'  {time.monotonic() - begun:.0f} s', flush=True)
    return code


if __name__ == '__main__':
    sys.exit(main())
