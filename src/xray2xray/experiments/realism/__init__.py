"""Is the virtual cohort like real chests? `python -m xray2xray.experiments.realism --help`."""
