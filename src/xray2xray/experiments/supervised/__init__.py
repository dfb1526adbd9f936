"""Supervised comparators (docs/results/downstream.md)."""
