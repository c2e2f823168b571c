"""Mask generators: images in, class activation maps out."""

from .attention_fusion import AdaptiveAttentionFusion
from .cam_generator import CAMGenerator
from .mctformer import MCTformerGenerator
from .protocol import GeneratorOutput, MaskGenerator, check_generator
from .weaktr import WeakTrGenerator

__all__ = [
    'AdaptiveAttentionFusion',
    'CAMGenerator',
    'GeneratorOutput',
    'MCTformerGenerator',
    'MaskGenerator',
    'WeakTrGenerator',
    'check_generator',
]
