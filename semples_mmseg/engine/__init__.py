"""Training: stages, their optimizers, and seeds."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .check_classes_hook import CheckClassesHook, check_classes
from .epoch_seed_hook import EpochSeedHook, seed_worker
from .finite_step_hook import FiniteStepHook
from .optimizers import (
    MixedPrecisionOptimWrapper,
    PolyRatioLR,
    TrainableOptimWrapperConstructor,
    WarmupCosineLR,
)
from .stage_plan import StagePlan, StageSpec
from .stage_switch_hook import StageSwitchHook
from .staged_train_loop import StagedTrainLoop
from .step_times_hook import StepTimesHook

__all__ = [
    'AtomicCheckpointHook',
    'CheckClassesHook',
    'EpochSeedHook',
    'FiniteStepHook',
    'MixedPrecisionOptimWrapper',
    'PolyRatioLR',
    'StagePlan',
    'StageSpec',
    'StageSwitchHook',
    'StagedTrainLoop',
    'StepTimesHook',
    'TrainableOptimWrapperConstructor',
    'WarmupCosineLR',
    'check_classes',
    'seed_worker',
]
