"""CTs warped to the outlines of other patients (docs/cohort.md)."""
