"""LIDC-IDRI as TCIA delivers it: 1,018 CTs of 1,010 patients, and 290 series of radiographs (CR, DX) of some of them.

Layout: https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX; patients are LIDC-IDRI-0001 to -1012. A series of radiographs
often holds a frontal and a lateral. No labels of the five pathologies and no split come with it.
"""

from pathlib import Path

from ...core.errors import InputError
from ...io.files import told_apart
from ...radiograph.view import view_in_header
from .table import Cohort, Sample, View, as_view
from .tcia import Series, read_header, series_below


def read_lidc(folder: str | Path) -> Cohort:
    """Every CT study (its folder) and every radiograph (its file).

    Raises:
        InputError: no DICOM folders below.
    """
    found, failed = series_below(folder)
    places: dict[Path, tuple[str, str, View]] = {}  # path -> patient, kind of study, view
    for series in found:
        if series.modality == "CT":
            places[series.folder.parent] = (series.patient, "CT", "CT")  # the CT reader picks among a study's series
        elif series.modality in ("CR", "DX"):
            places |= _radiographs(series, failed)
    names = told_apart(f"{patient}-{kind}" for patient, kind, _ in places.values())
    samples = [
        Sample(name, patient, path, view)
        for name, (path, (patient, _, view)) in zip(names, places.items(), strict=True)
    ]
    return Cohort("lidc", tuple(samples), failed)


def _radiographs(series: Series, failed: dict[str, str]) -> dict[Path, tuple[str, str, View]]:
    places: dict[Path, tuple[str, str, View]] = {}
    for path in series.files:
        try:
            places[path] = (series.patient, series.modality, as_view(view_in_header(read_header(path)).view))
        except InputError as error:
            failed[str(path)] = str(error)
    return places
