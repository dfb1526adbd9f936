"""CTs warped to the outlines of other patients (docs/results/virtual-cohort.md)."""
