"""Models: mask generators, CLIP heads, prompts, losses, segmentors."""

from .clip.image_head import CLIPImageHead
from .clip.loading import build_clip
from .clip.patch_features import patch_features, window_features
from .clip.prompts import ManualPrompts, PromptLearner
from .clip.text_head import CLIPTextHead
from .losses.gradient_clipping_loss import GradientClippingLoss
from .losses.match_loss import MatchLoss
from .losses.pairs import Pairs, mean_over_pairs, similarity
from .losses.prompt_loss import PromptLoss
from .losses.refine_loss import RefineLoss
from .mask_generators.attention_fusion import AdaptiveAttentionFusion
from .mask_generators.cam_generator import CAMGenerator
from .mask_generators.clip_attention import CLIPAttentionGenerator
from .mask_generators.mctformer import MCTformerGenerator
from .mask_generators.multi_token_vit import MultiTokenViT
from .mask_generators.protocol import GeneratorOutput, MaskGenerator
from .mask_generators.weaktr import WeakTrGenerator
from .segmentors.cam_segmentor import CAMSegmentor
from .segmentors.data_preprocessor import CAMDataPreprocessor
from .segmentors.semples import SemPLeS
from .segmentors.windowed import ProbabilityTTA, WindowedEncoderDecoder
from .timm_backbone import FastTIMMBackbone

__all__ = [
    'AdaptiveAttentionFusion',
    'CAMDataPreprocessor',
    'CAMGenerator',
    'CAMSegmentor',
    'CLIPAttentionGenerator',
    'CLIPImageHead',
    'CLIPTextHead',
    'FastTIMMBackbone',
    'GeneratorOutput',
    'GradientClippingLoss',
    'MCTformerGenerator',
    'ManualPrompts',
    'MaskGenerator',
    'MatchLoss',
    'MultiTokenViT',
    'Pairs',
    'ProbabilityTTA',
    'PromptLearner',
    'PromptLoss',
    'RefineLoss',
    'SemPLeS',
    'WeakTrGenerator',
    'WindowedEncoderDecoder',
    'build_clip',
    'mean_over_pairs',
    'patch_features',
    'similarity',
    'window_features',
]
