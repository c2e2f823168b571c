"""CLIP, frozen: image head, text head, and how their weights are found."""

from .image_head import CLIPImageHead
from .loading import as_clip, build_clip
from .patch_features import has_patch_tokens, patch_features, window_features
from .prompts import ManualPrompts, PromptLearner
from .text_head import CLIPTextHead

__all__ = [
    'CLIPImageHead',
    'CLIPTextHead',
    'ManualPrompts',
    'PromptLearner',
    'as_clip',
    'build_clip',
    'has_patch_tokens',
    'patch_features',
    'window_features',
]
