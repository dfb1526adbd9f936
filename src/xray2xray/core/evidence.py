"""The evidence level of a result: virtual patients, views rendered from CT, or real radiographs."""

VIRTUAL = "virtual patient"
FROM_CT = "rendered from real CT"
RADIOGRAPH = "real radiograph"  # has no truth at other angles
EVIDENCE_LEVELS = (VIRTUAL, FROM_CT, RADIOGRAPH)
