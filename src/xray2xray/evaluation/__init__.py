"""Predictions against the truth and against baselines."""
