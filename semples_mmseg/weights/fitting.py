"""Whether the tensors of a file fit a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..utils.errors import Refusal


def misfit(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Name the tensors of a file whose shape is not the model's own, or return an empty text.

    Position embeddings of another grid fit, and so does a single class token for several classes.
    """
    found = []
    for name in [name for name in tensors if name in own]:
        here, there = own[name].shape, tensors[name].shape
        one_token = name.endswith('cls_token') and there[1:2] == (1,)
        if here == there or one_token or name.endswith('pos_embed'):
            continue
        found.append(f'{name} is {(*there,)} there and {(*here,)} here')
    if not found:
        return ''
    more = f' and {len(found) - 3} more' if len(found) > 3 else ''
    return (
        f'{"; ".join(found[:3])}{more}. The number of classes, the width, patches or lengths '
        'differ: take the file of this model, or change the config'
    )


def check_state_dict(
    model: nn.Module,
    parts: Sequence[str],
    state_dict: Mapping[str, Tensor],
    prefix: str = '',
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Refuse a state dict that leaves a part of a model at its random initial values.

    A pre-hook of ``load_state_dict``, as MMEngine loads without ``strict`` and only warns.

    Args:
        model: The model.
        parts: Names of the modules that the state dict must fill completely.
        state_dict: State dict of the file.
        prefix: Prefix of the model's names in it.
        metadata: Its ``file`` names the file.

    Raises:
        ValueError: If tensors of a part are missing, unknown or of another shape.
    """
    own = model.state_dict()
    given = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}
    file = f'the checkpoint {(metadata or {}).get("file", "")}'.strip()
    if reason := misfit(given, own):
        raise Refusal(f'{file} does not fit {type(model).__name__}: {reason}')
    heads = tuple(f'{part}.' for part in parts)
    differing = {
        'it lacks': [k for k in own.keys() - given.keys() if not k.endswith('batches_tracked')],
        'it has unknown': given.keys() - own.keys(),
    }
    told = []
    for kind, found in differing.items():
        if names := sorted(name for name in found if name.startswith(heads)):
            told.append(
                f'{kind} {len(names)} ({", ".join(names[:3])}{", ..." if names[3:] else ""})'
            )
    if told:
        raise Refusal(
            f'{file} does not fit {type(model).__name__}: of the tensors of {" and ".join(parts)} '
            f'{", ".join(told)}; its first are {", ".join(list(state_dict)[:4])}. Take the '
            'checkpoint of this model. Files of other programs are read with load_from="weights:'
            'PATH" or converted by tools/model_converters/convert_weights.py; weights for a part '
            'go into init_cfg of that part'
        )
