"""The training stages, as data: which losses, and what trains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..utils.errors import Refusal

LOSSES = ('classification', 'match', 'prompt', 'refine')


@dataclass(frozen=True)
class Stage:
    """Losses and trained modules of a training stage.

    Attributes:
        name: Name in configs, logs and checkpoints.
        losses: Some of ``LOSSES``.
        trains: Roles, or dotted paths of modules, that train; everything else is frozen. The roles
            are ``'generator'``, ``'prompts'``, and those of the mask generator, such as ``'masks'``
            (see ``MaskGenerator.roles``).
        mask_eps: Added to the range in the min-max normalisation of masks. Positive, so that a
            constant map is not divided by zero.
    """

    name: str
    losses: tuple[str, ...]
    trains: tuple[str, ...]
    mask_eps: float = 0.1


STAGES = {
    stage.name: stage
    for stage in (
        # Stage 0, WeakTr's own training; masks play no part in it.
        Stage('classify', ('classification',), ('generator',)),
        Stage('match', ('match',), ('masks',)),
        Stage('prompt', ('prompt',), ('prompts',), mask_eps=1e-4),
        Stage('refine', ('match', 'refine'), ('masks',)),
        # Table 6: all losses at once.
        Stage('joint', ('match', 'prompt', 'refine'), ('masks', 'prompts')),
    )
}


def resolve_stage(
    name: str,
    losses: Sequence[str] | None = None,
    trains: Sequence[str] | None = None,
    mask_eps: float | None = None,
) -> Stage:
    """The stage called ``name``, with some settings changed.

    A name that is not in ``STAGES`` is a new stage, which needs ``losses`` and ``trains``.

    Raises:
        ValueError: If the stage or one of its losses is unknown, or ``mask_eps`` not positive.
    """
    changes: dict[str, Any] = dict(losses=losses, trains=trains)
    changes = {key: tuple(value) for key, value in changes.items() if value is not None}
    if mask_eps is not None:
        changes['mask_eps'] = mask_eps
    if name in STAGES:
        stage = replace(STAGES[name], **changes)
    elif {'losses', 'trains'} <= changes.keys():
        stage = Stage(name, **changes)
    else:
        raise Refusal(
            f'unknown stage {name!r}: use one of {", ".join(STAGES)}, or give a stage of your own '
            'its `losses` and `trains`'
        )
    check_losses(stage.losses, stage.name)
    if not stage.mask_eps > 0:
        raise Refusal(f'stage {name!r}: mask_eps must be positive, got {stage.mask_eps}')
    return stage


def check_losses(losses: Iterable[str], stage: str) -> None:
    """Raise ValueError for a loss that does not exist."""
    for loss in losses:
        if loss not in LOSSES:
            raise Refusal(f'stage {stage!r}: unknown loss {loss!r}; known are {LOSSES}')
