"""Is the virtual cohort like real chests? `python -m benchmarks.realism --help`."""
