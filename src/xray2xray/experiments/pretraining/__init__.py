"""Self-supervised comparators (docs/results/pretraining.md)."""
