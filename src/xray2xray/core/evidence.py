"""The evidence ladder: what a result stands on, said beside every claim."""

VIRTUAL = "virtual patient"
FROM_CT = "rendered from real CT"
RADIOGRAPH = "real radiograph"  # has no truth at other angles
RUNGS = (VIRTUAL, FROM_CT, RADIOGRAPH)
