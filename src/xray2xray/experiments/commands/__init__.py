"""The verbs that the experiments add to the command line (entry-point group `xray2xray.commands`)."""
