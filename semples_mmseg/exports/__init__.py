"""Masks in the formats of label tools."""

from .labelled import LabelledPhotos, labelled_folder
from .writing import FORMATS, export

__all__ = ['FORMATS', 'LabelledPhotos', 'export', 'labelled_folder']
