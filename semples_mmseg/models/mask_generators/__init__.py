"""Mask generators: images in, class activation maps out."""

from .attention_fusion import AdaptiveAttentionFusion
from .cam_generator import CAMGenerator
from .output import GeneratorOutput
from .weaktr import WeakTrGenerator

__all__ = ['AdaptiveAttentionFusion', 'CAMGenerator', 'GeneratorOutput', 'WeakTrGenerator']
