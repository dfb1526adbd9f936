"""Probes and survival heads on frozen features."""
