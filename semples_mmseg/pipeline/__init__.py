"""Whole runs, from data to tables: steps that are skipped when they are complete."""

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
