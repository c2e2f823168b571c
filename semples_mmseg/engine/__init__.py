"""What drives training: stages, their optimizers, and seeds."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .cpu_wrapper import CPUDistributedDataParallel
from .epoch_seed_hook import EpochSeedHook, seed_worker
from .finite_step_hook import FiniteStepHook
from .optim_constructor import TrainableOptimWrapperConstructor
from .poly_ratio_lr import PolyRatioLR
from .stage_plan import StagePlan, StageSpec
from .stage_switch_hook import StageSwitchHook
from .warmup_cosine_lr import WarmupCosineLR

__all__ = [
    'AtomicCheckpointHook',
    'CPUDistributedDataParallel',
    'EpochSeedHook',
    'FiniteStepHook',
    'PolyRatioLR',
    'StagePlan',
    'StageSpec',
    'StageSwitchHook',
    'TrainableOptimWrapperConstructor',
    'WarmupCosineLR',
    'seed_worker',
]
