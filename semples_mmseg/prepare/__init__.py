"""From data sets as downloaded to split lists, image-level labels and evaluation masks."""
