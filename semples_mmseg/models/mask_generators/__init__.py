"""Mask generators: images in, class activation maps out."""

from .attention_fusion import AdaptiveAttentionFusion
from .cam_generator import CAMGenerator
from .mctformer import MCTformerGenerator
from .multi_token_vit import BlockTrace, MultiTokenViT
from .protocol import GeneratorOutput, MaskGenerator, check_generator
from .weaktr import WeakTrGenerator

__all__ = [
    'AdaptiveAttentionFusion',
    'BlockTrace',
    'CAMGenerator',
    'GeneratorOutput',
    'MCTformerGenerator',
    'MaskGenerator',
    'MultiTokenViT',
    'WeakTrGenerator',
    'check_generator',
]
