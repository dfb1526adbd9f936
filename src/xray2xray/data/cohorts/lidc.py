"""LIDC-IDRI: 1,018 CTs of 1,010 patients, and 290 series of radiographs (CR, DX) of some of them, however downloaded.

https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX; patients are LIDC-IDRI-0001 to -1012. A series of radiographs
often holds a frontal and a lateral. No labels of the five pathologies and no split come with it.
"""

from dataclasses import replace
from pathlib import Path

from ...io.files import told_apart
from .studies import studies_below
from .table import Cohort, Sample, safe_name


def read_lidc(folder: str | Path, workers: int | None = 1) -> Cohort:
    """Every CT study (a folder) and every radiograph (its file).

    Raises:
        InputError: no DICOM files below that can be used.
    """
    found = studies_below(folder, workers)
    ct = [Sample(f"{one.patient}-CT", one.patient, one.path, "CT", series=one.series) for one in found.ct]
    films = [Sample(f"{one.patient}-{one.modality}", one.patient, one.path, one.view) for one in found.radiographs]
    samples = [*ct, *films]
    names = told_apart(safe_name(sample.study) for sample in samples)
    return Cohort("lidc", tuple(replace(s, study=name) for s, name in zip(samples, names, strict=True)), found.failed)
