"""Speed and memory of the hot paths against a stated baseline; see benchmarks/README.md."""
