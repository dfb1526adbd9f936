"""The tissues of a map: uint8 values and their names.

Their HU stand where they are painted (`painter`, `tubes`, `lesions`); reference/sources.md compares them with tables.
"""

AIR, SOFT, FAT, BONE, LUNG_RIGHT, LUNG_LEFT, HEART, MEDIASTINUM, ABDOMEN, FLUID, VESSEL, AIRWAY, COUCH = range(13)
TISSUES = (
    "air",
    "soft_tissue",
    "fat",
    "bone",
    "lung_right",
    "lung_left",
    "heart",
    "mediastinum",
    "abdomen",
    "fluid",
    "vessel",
    "airway",
    "couch",
)
