"""What a frontal view can know of each label: `python -m xray2xray.experiments.ceiling --help`."""
