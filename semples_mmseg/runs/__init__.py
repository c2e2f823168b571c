"""Whole runs, from the data to the table of results, as steps that are skipped when complete."""
