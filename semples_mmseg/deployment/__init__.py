"""Finished models: as ONNX files, run without PyTorch, and over folders of photos."""
