"""What the self-supervised baselines learn from a view store, one objective each; all on the one training loop."""
