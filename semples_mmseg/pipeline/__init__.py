"""Whole runs, from the data to the table of results, as steps that are skipped when complete."""

from .benchmarks import BENCHMARKS, Benchmark
from .published import Settings, published_steps
from .steps import Step, run_steps, show_plan

__all__ = [
    'BENCHMARKS',
    'Benchmark',
    'Settings',
    'Step',
    'published_steps',
    'run_steps',
    'show_plan',
]
