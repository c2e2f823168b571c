"""Whole runs, from data to tables: steps that are skipped when they are complete."""

from .demo import demo_steps
from .steps import Step, run_steps

__all__ = ['Step', 'demo_steps', 'run_steps']
