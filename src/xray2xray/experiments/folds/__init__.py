"""Cross-validation on real scans: the volumetric form and every baseline, taught by the same patients."""
