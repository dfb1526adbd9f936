"""What every room may need: errors, seeds, evidence levels, the version."""
