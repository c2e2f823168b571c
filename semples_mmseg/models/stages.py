"""The training stages, as data: which losses, and what trains."""

from dataclasses import dataclass, replace
from typing import Any

from ..utils.errors import Refusal


@dataclass(frozen=True)
class Stage:
    """Losses and trained modules of a training stage.

    Attributes:
        name: Name in configs, logs and checkpoints.
        losses: Names in ``model.losses``; or ``'classification'`` alone.
        trains: Roles (``'generator'``, ``'prompts'``, those of ``MaskGenerator.roles``), or dotted
            paths of modules, that train; everything else is frozen.
        mask_eps: Added to the range in the min-max normalisation of masks; positive.
        features_eval: Whether the mask generator's ``features`` are in eval mode; ``False``
            (published) leaves their stochastic depth on.
    """

    name: str
    losses: tuple[str, ...]
    trains: tuple[str, ...]
    mask_eps: float = 0.1
    features_eval: bool = False


STAGES = {
    stage.name: stage
    for stage in (  # the losses match, prompt and refine are of equations 1, 2 and 3
        # Stage 0, WeakTr's own training; masks play no part in it.
        Stage('classify', ('classification',), ('generator',)),
        Stage('match', ('match',), ('masks',)),
        Stage('prompt', ('prompt',), ('prompts',), mask_eps=1e-4),
        Stage('refine', ('match', 'refine'), ('masks',)),
        # Table 6: all losses at once.
        Stage('joint', ('match', 'prompt', 'refine'), ('masks', 'prompts')),
    )
}


def resolve_stage(name: str, **changes: Any) -> Stage:
    """The stage ``name`` with changed settings; a new one needs ``losses`` and ``trains``."""
    changes |= {key: tuple(changes[key]) for key in ('losses', 'trains') if key in changes}
    if name in STAGES:
        stage = replace(STAGES[name], **changes)
    elif {'losses', 'trains'} <= changes.keys():
        stage = Stage(name, **changes)
    else:
        raise Refusal(
            f'unknown stage {name!r}: use one of {", ".join(STAGES)}, or give a stage of your own '
            'its `losses` and `trains`'
        )
    if not stage.mask_eps > 0:
        raise Refusal(f'stage {name!r}: mask_eps must be positive, got {stage.mask_eps}')
    return stage
