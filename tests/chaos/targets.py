"""Runs to kill: the demo's training, pseudo masks and pipeline, on few scenes."""

import json
import sys
import zipfile
from pathlib import Path

from PIL import Image
from points import PREDICTION, RENAMED, STEP, SWITCH, VALIDATION, WRITING, WRITTEN

from semples_mmseg.utils.record import RECORD
from semples_mmseg.weights.latest_checkpoint import POINTER
from semples_mmseg.weights.reading import find_damage

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/semples/demo_refine.py'
STAGES = 4


def train_options(workers):
    """Options for a training of less than two seconds that uses torch's random numbers."""
    options = ['model.mask_generator.backbone.drop_path_rate=0.1', 'log_level=WARNING']
    for stage in range(STAGES):
        options += [f'stages.{stage}.epochs=2', f'stages.{stage}.batch_size=8']
    for loader in ('train', 'val', 'test', 'pseudo_mask'):
        options += [
            f'{loader}_dataloader.dataset.num_train=32',
            f'{loader}_dataloader.dataset.num_val=8',
        ]
        if loader != 'train':  # the stages have batch sizes of their own
            options.append(f'{loader}_dataloader.batch_size=4')
    return [*options, f'train_dataloader.num_workers={workers}']


class Target:
    """A command that is killed and started again until it completes.

    Args:
        folder: Folder of the runs and of their data.
        workers: Loader workers of training.
    """

    kinds: tuple[str, ...] = ()
    """Kinds of moments: random times, and those of points.py."""
    outputs: tuple[str, ...] = ('*.pth', '*.json', '*.png', POINTER)
    """Files that must be whole at all times and equal at the end."""

    def __init__(self, folder, workers):
        self.folder, self._damaged = folder, {}
        data = folder / 'data'
        self.options = train_options(workers)
        for loader in ('train', 'val', 'test', 'pseudo_mask'):
            self.options.append(f'{loader}_dataloader.dataset.data_root={data}')

    def files(self, run):
        """Relative paths of a run's outputs, temporary files included."""
        found = {path for pattern in self.outputs for path in run.glob(pattern)}
        return sorted(path.relative_to(run) for path in found | {*run.glob('**/.*.tmp')})

    def broken(self, run):
        """Files with a final name that are not whole, except those that ``damage`` changed."""
        return [
            str(path)
            for path in self.files(run)
            if not path.name.endswith('.tmp')
            and self._damaged.get(run / path) != (run / path).stat().st_mtime_ns
            and not _is_whole(run / path)
        ]

    def damage(self, run, rng):
        """Damage the file that the run would resume from; return whether there is one."""
        return False

    def place(self, where):
        """Row of the table for a text of the board."""
        return where.split()[0]

    def differences(self, run, whole):
        """Files that differ between two complete runs."""
        one, other = self.files(run), self.files(whole)
        if one != other:
            return [f'files: {[*map(str, one)]}, unbroken {[*map(str, other)]}']
        return [str(path) for path in one if _content(run / path) != _content(whole / path)]


class Training(Target):
    """``tools/train.py --resume`` through all stages."""

    kinds = ('time', STEP, SWITCH, VALIDATION, WRITING, WRITTEN, RENAMED)

    def command(self, run):
        """Arguments of the tool; the same for the first run and the next ones."""
        options = ('--work-dir', str(run), '--resume', '--cfg-options', *self.options)
        return ['train.py', str(CONFIG), *options]

    def damage(self, run, rng):
        """Cut the last checkpoint or change a bit of it, if there is an earlier one."""
        if not (run / POINTER).exists():
            return False
        last = Path((run / POINTER).read_text())
        number = int(last.stem.removeprefix('epoch_'))
        before = last.with_name(f'epoch_{number - 1}.pth')
        if not (before.exists() and _is_whole(before) and _is_whole(last)):
            return False
        content = bytearray(last.read_bytes())
        if rng.random() < 0.5:
            content = content[: int(rng.uniform(0, 0.999) * len(content))]
        else:
            with zipfile.ZipFile(last) as archive:  # in a tensor, as some other bytes are padding
                largest = max(archive.infolist(), key=lambda member: member.file_size)
            content[largest.header_offset + 200 + rng.randrange(largest.file_size - 200)] ^= 1
        last.write_bytes(content)
        self._damaged[last] = last.stat().st_mtime_ns
        return True


class Masks(Target):
    """``tools/make_pseudo_masks.py``, with the weights of a training run."""

    kinds = ('time', PREDICTION, WRITING, WRITTEN, RENAMED)

    def command(self, run):
        """Arguments of the tool; the same for the first run and the next ones."""
        weights = self.folder / 'train/whole/refine.pth'
        out, work = ('--out', str(run)), ('--work-dir', str(self.folder / 'test'))
        return [
            *('make_pseudo_masks.py', str(CONFIG), str(weights)),
            *(*out, *work, '--cfg-options', *self.options),
        ]


class Pipeline(Target):
    """``tools/run_pipeline.py demo``, which starts a process for each step."""

    kinds = ('time',)
    outputs = (
        *('results.json', 'seeds_*.json', 'segmenter/metrics.json', 'semples/stages.json'),
        *('semples/*.pth', 'segmenter/*.pth', 'pseudo_masks/[!.]*', 'grid.png'),
    )

    def command(self, run):
        """Arguments of the interpreter."""
        data = ('--data-root', str(self.folder / 'data'))
        options = [o for o in self.options if '.data_root=' not in o]
        start = (sys.executable, str(ROOT / 'tools/run_pipeline.py'), 'demo')
        return [*start, '--work-dir', str(run), *data, '--semples-options', *options]

    def place(self, where):
        """The step."""
        return where.split(' (')[0]


def _is_whole(path):
    try:
        if path.suffix == '.json':
            json.loads(path.read_text())
        if path.suffix == '.png':
            with Image.open(path) as image:
                image.load()
        if path.name == POINTER:
            return Path(path.read_text()).is_file()
    except (ValueError, OSError, SyntaxError):
        return False
    return path.suffix != '.pth' or find_damage(path) is None


def _content(path):
    """Content of a file without the times and paths in it.

    Of a checkpoint, that is every tensor, those of the optimizer included.
    """
    if path.suffix == '.pth':
        with zipfile.ZipFile(path) as archive:
            tensors = [name for name in archive.namelist() if '/data/' in name]
            return [archive.read(name) for name in tensors]
    if path.name == POINTER:
        return Path(path.read_text()).name
    if path.name == RECORD:
        return {name: entry['settings'] for name, entry in json.loads(path.read_text()).items()}
    return path.read_bytes()


TARGETS = dict(train=Training, masks=Masks, pipeline=Pipeline)
