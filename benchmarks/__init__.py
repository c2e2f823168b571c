"""Speed and memory of the hot paths against a stated baseline; see docs/benchmarks.md."""
