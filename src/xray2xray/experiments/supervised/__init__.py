"""Supervised comparators (docs/downstream.md)."""
