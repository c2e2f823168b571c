"""Which OpenMMLab packages are installed, and whether they can work together.

The official packages (``mmengine``, ``mmcv``, ``mmsegmentation``, ``mmpretrain``) and their OneDL
forks (``onedl-mmengine`` ...) install files of the same names. pip does not notice it: the second
overwrites the first, and uninstalling one breaks the other. Importing ``semples_mmseg`` therefore
checks the names of the installed distributions first.
"""

import contextlib
import importlib.metadata
import importlib.util
import io
import platform
import shlex
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from .utils.errors import MissingPackage

STACKS: dict[str, dict[str, tuple[str, ...]]] = {
    'onedl': {
        'mmengine': ('onedl-mmengine',),
        'mmcv': ('onedl-mmcv',),
        'mmseg': ('onedl-mmsegmentation',),
        'mmpretrain': ('onedl-mmpretrain',),
    },
    'openmmlab': {
        'mmengine': ('mmengine', 'mmengine-lite'),
        'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full'),
        'mmseg': ('mmsegmentation',),
        'mmpretrain': ('mmpretrain',),
    },
}
"""Per stack (and extra of this package): the distributions that own an import name."""
MODULES = tuple(STACKS['onedl'])
CHANNEL_CONVERSION = ('channel_conversion', '_channel_conversion')
"""What data preprocessors call their exchange of RGB and BGR: MMSegmentation; MMEngine, OneDL."""
_OTHERS = ('torch', 'torchvision', 'numpy', 'scipy', 'pillow', 'opencv-python', 'open_clip_torch',
           'safetensors', 'pycocotools', 'timm', 'pydensecrf2', 'onnx', 'onnxscript', 'onnxruntime',
           'pillow-heif', 'gradio', 'openpyxl', 'rich', 'filelock')  # fmt: skip
_PREDICTING = ('numpy', 'pillow', 'rich', 'filelock', 'onnxruntime')
"""What a machine without PyTorch needs to predict with an ONNX file."""
_THIS = 'semples-mmseg'
_MMSEG_PARTS = [
    f'mmseg.{part}' for part in ('datasets', 'engine', 'evaluation', 'models', 'visualization')
]
_PACKAGE = __name__.partition('.')[0]
_WORKERS = f"'{_PACKAGE}.utils.parallel'"  # in the command line of what they are forked from


def installed() -> dict[str, str]:
    """Versions of the installed distributions of both stacks, by name."""
    owners = [name for stack in STACKS.values() for names in stack.values() for name in names]
    return _versions(owners)


def importable() -> set[str]:
    """Import names of both stacks that have files; nothing is imported."""
    # An uninstalled package may leave a folder without __init__.py: its origin is None.
    specs = {module: importlib.util.find_spec(module) for module in MODULES}
    return {module for module, spec in specs.items() if spec is not None and spec.origin}


def find_problem(versions: Mapping[str, str], modules: Collection[str]) -> str | None:
    """What is wrong with the installed packages, and the commands that fix it.

    Args:
        versions: Versions by the name of the distribution, see ``installed``.
        modules: The import names that have files, see ``importable``.

    Returns:
        The message, or None where one stack is complete.
    """
    owners = {
        module: [name for stack in STACKS.values() for name in stack[module] if name in versions]
        for module in MODULES
    }
    stacks = [
        stack
        for stack, own in STACKS.items()
        if any(name in versions for names in own.values() for name in names)
    ]
    twice = {module: names for module, names in owners.items() if len(names) > 1}
    if twice or len(stacks) > 1:
        found = ', '.join(f'{name} {version}' for name, version in versions.items())
        both = '; '.join(f'{" and ".join(names)} (both are `{m}`)' for m, names in twice.items())
        what = 'these packages overwrite files of each other' if twice else 'two stacks are mixed'
        return (
            f'{what}: {both or found}. Uninstall all of them, then install one stack '
            f'(docs/install.md):\n  pip uninstall -y {" ".join(versions)}\n  {_install("onedl")}'
        )
    gone = [name for m, names in owners.items() if m not in modules for name in names]
    if gone:
        return (
            f'files of {", ".join(gone)} are missing: a package that shared them was uninstalled. '
            'Install them again:\n  pip install --force-reinstall --no-deps '
            + ' '.join(f'"{name}=={version}"' for name, version in versions.items())
        )
    if {'mmcv-lite', 'mmsegmentation'} <= versions.keys():
        return (
            'mmsegmentation needs the compiled operators of mmcv, which mmcv-lite lacks '
            '(docs/install.md):\n  pip uninstall -y mmcv-lite\n'
            '  MMCV_WITH_OPS=1 pip install "mmcv==2.1.0" --no-build-isolation --no-binary mmcv'
        )
    missing = [module for module in MODULES if module not in modules]
    if missing:
        return (
            f'{", ".join(missing)} {"is" if len(missing) == 1 else "are"} not installed. '
            'semples-mmseg needs the packages of OpenMMLab or their OneDL forks '
            f'(docs/install.md):\n  {_install(stacks[0] if stacks else "onedl")}'
        )
    return None


def _install(stack: str) -> str:
    """The command that installs a stack, from the requirements of this package's extra."""
    try:
        requirements = importlib.metadata.requires(_THIS) or []
    except importlib.metadata.PackageNotFoundError:  # a copy of the source
        return f'pip install -e ".[{stack}]"'
    parts = [line.partition(';') for line in requirements]
    wanted = [name.strip() for name, _, marker in parts if f'"{stack}"' in marker.replace("'", '"')]
    return f'pip install {" ".join(shlex.quote(name) for name in wanted)}'


def check() -> None:
    """Raise an error if the packages of OpenMMLab cannot work.

    Raises:
        MissingPackage: If two stacks or none are installed, or files of one are missing; the
            message has the commands that fix it.
    """
    problem = find_problem(installed(), importable())
    if problem is not None:
        raise MissingPackage(problem)


def is_command_line() -> bool:
    """Whether this process is ``semples-mmseg``, ``python -m semples_mmseg`` or one of the tools.

    They must start fast, and ``semples-mmseg doctor`` must run where the packages of OpenMMLab
    cannot be imported. So must the process that workers are forked from (``utils/parallel.py``).
    """
    if any(_WORKERS in word for word in sys.orig_argv):
        return True
    if sys.argv[:1] == ['-m']:  # Python is looking for the module, and imports the package first
        return not {_PACKAGE, f'-m{_PACKAGE}'}.isdisjoint(sys.orig_argv)
    program = Path(sys.argv[0] if sys.argv else '')
    tools = (clone_or_installed() / 'tools').resolve()
    return program.stem == _THIS or program.suffix == '.py' and tools in program.resolve().parents


def clone_or_installed() -> Path:
    """Folder of ``configs`` and ``tools``: the clone, or ``.mim`` of an installed package."""
    package = Path(__file__).resolve().parent
    clone = (package.parent / 'configs' / 'semples').is_dir()
    return package.parent if clone else package / '.mim'


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Suppress two messages of packages about what is not used here; other output is kept.

    MMSeg and MMPretrain of OneDL print that a data format of OneDL is not installed, MMCV without
    compiled operators warns about one of them.
    """
    output = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(output):
            warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')
            yield
    finally:
        print(output.getvalue().replace('Could not import OneDL\n', ''), end='')


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress what libraries print, log and warn of, other than errors."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel('ERROR')
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(before)


def register_config_packages() -> None:
    """Let configs inherit from ``'mmseg::...'`` and ``'semples_mmseg::...'`` with either stack.

    MMEngine finds the configs of a package through a table of distribution names, in which OneDL's
    names and ours are missing. A name of the table that is a module and no distribution is looked
    up as Python imports it: in an editable install the official MMEngine looks for a distribution's
    files in the wrong folder. It builds inherited components in the registries of their package;
    ours are empty and pass every request on to MMSeg's.
    """
    from mmengine import Registry
    from mmengine.config.utils import MODULE2PACKAGE
    from mmseg import registry as registries

    for registry in vars(registries).values():
        if isinstance(registry, Registry) and _PACKAGE not in registry.children:
            Registry(registry.name, parent=registry, scope=_PACKAGE, locations=_MMSEG_PARTS)
    MODULE2PACKAGE.update(mmseg='mmseg', mmpretrain='mmpretrain', semples_mmseg=__name__)


def report() -> tuple[str, str | None]:
    """Versions of the packages that matter, and what is wrong (None: nothing)."""
    own, others = installed(), _versions((_THIS, *_OTHERS))
    problem, fine = find_problem(own, importable()), 'OpenMMLab packages: fit together'
    if not own and importlib.util.find_spec('torch') is None:
        missing = ' '.join(name for name in _PREDICTING if name not in others)
        problem = f'predictions with an ONNX file need: pip install {missing}' if missing else None
        fine = 'ready for predictions with an ONNX file; for all else: docs/install.md'
    lines = [f'Python {platform.python_version()} ({sys.executable}), {platform.platform()}']
    lines += [f'{name}: {others.get(name, "not installed")}' for name in (_THIS, *_OTHERS)]
    lines += [f'{name}: {version}' for name, version in own.items()]
    try:
        import torch

        devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        lines.append(f'GPUs: {", ".join(devices) or "none that torch can use"}')
    except ImportError as error:
        lines.append(f'torch cannot be imported: {error}')
    lines.append(f'error: {problem}' if problem else fine)
    return '\n'.join(lines), problem


def _versions(names: Collection[str]) -> dict[str, str]:
    """Versions of those that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
