"""Real radiographs: probes, and LIDC-IDRI's films against the CTs of the same patients."""
