"""What a frontal view can know of each label, and what no frontal can: `python -m xray2xray.experiments.ceiling --help`."""
