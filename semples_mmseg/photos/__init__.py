"""From a folder of photos and a table of tags to masks and a model."""
