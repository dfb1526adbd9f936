"""What an adapter does to real radiographs: `python -m xray2xray.experiments.adaptation --help`."""
