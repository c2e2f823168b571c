"""The commands of ``semples-mmseg``, one module each."""
