"""A transition between real pairs of a frontal and a lateral (docs/results/pairs.md)."""
