"""Self-supervised comparators (docs/pretraining.md)."""
