"""Models: mask generators, CLIP heads, prompts, losses, segmentors."""

from .clip import CLIPImageHead, CLIPTextHead, ManualPrompts, PromptLearner, build_clip
from .losses import (
    GradientClippingLoss,
    MatchLoss,
    Pairs,
    PromptLoss,
    RefineLoss,
    mean_over_pairs,
    similarity,
)
from .mask_generators import (
    AdaptiveAttentionFusion,
    CAMGenerator,
    GeneratorOutput,
    MaskGenerator,
    MCTformerGenerator,
    MultiTokenViT,
    WeakTrGenerator,
)
from .segmentors import (
    CAMDataPreprocessor,
    CAMSegmentor,
    ProbabilityTTA,
    SemPLeS,
    WindowedEncoderDecoder,
)

__all__ = [
    'AdaptiveAttentionFusion',
    'CAMDataPreprocessor',
    'CAMGenerator',
    'CAMSegmentor',
    'CLIPImageHead',
    'CLIPTextHead',
    'GeneratorOutput',
    'GradientClippingLoss',
    'MCTformerGenerator',
    'ManualPrompts',
    'MaskGenerator',
    'MatchLoss',
    'MultiTokenViT',
    'PromptLearner',
    'Pairs',
    'ProbabilityTTA',
    'PromptLoss',
    'RefineLoss',
    'SemPLeS',
    'WeakTrGenerator',
    'WindowedEncoderDecoder',
    'build_clip',
    'mean_over_pairs',
    'similarity',
]
