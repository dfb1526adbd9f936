"""Networks that learn from views without labels, and what is left of each: an encoder (docs/pretraining.md)."""
