"""Reading the tensors of a file without running anything it may contain."""

from pathlib import Path

from torch import Tensor

from ..checkpoints import CheckpointError, check_weights, read_checkpoint
from ..demo.models import FOLDER as SHIPPED


def resolve(path: str | Path) -> Path:
    """Find a file of weights on disk, or among those shipped with the package.

    Args:
        path: A path, or the bare name of a shipped file such as ``demo_backbone.safetensors``.

    Raises:
        FileNotFoundError: If there is no such file; the message says where it was looked for.
    """
    path = Path(path).expanduser()
    for candidate in (path, SHIPPED / path.name if path.parent == Path() else path):
        if candidate.is_file():
            return candidate
    shipped = ', '.join(sorted(file.name for file in SHIPPED.glob('*.safetensors')))
    raise FileNotFoundError(
        f'no weights at {path}: put the file there or change the path in the config '
        f'(shipped with the package are {shipped or "none"})'
    )


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint without running anything it may contain.

    Args:
        path: A ``.safetensors`` file or a PyTorch checkpoint; dictionaries under ``state_dict`` or
            ``model`` and the prefix ``module.`` are unwrapped.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        FileNotFoundError: If the file is not there.
        CheckpointError: If it is damaged, holds no tensors or some that are not finite, or could
            run code when unpickled.
    """
    path = resolve(path)
    content = read_checkpoint(path)
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path} holds a {type(content).__name__}, not a dictionary of tensors'
        )
    tensors = {
        key.removeprefix('module.'): value.detach()
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise CheckpointError(f'{path} holds no tensors')
    check_weights(tensors, str(path))
    return tensors
