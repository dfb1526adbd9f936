"""What a person may give, a chest CT or a chest radiograph, as the one thing the model takes: a frontal view."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..core.errors import InputError
from ..core.evidence import FROM_CT, RADIOGRAPH, VIRTUAL
from ..io.files import told_apart
from ..projection.geometry import STANDARD_ARC, Geometry
from ..volume.volume import Volume

if TYPE_CHECKING:
    from ..models.adaptation import Adapter

View = Literal["pa", "ap", "auto"]
_ENDINGS = (".nii.gz", ".nii", ".zip", ".dcm", ".dicom", ".png", ".jpg", ".jpeg")


def study_names(paths: Iterable[str | Path]) -> dict[str, Path]:
    """A name for each input that is also a safe file name; two inputs called alike are told apart by a number.

    The names depend on the order of the inputs only where two are called alike.
    """
    given = [Path(path) for path in paths]
    return dict(zip(told_apart(map(study_name, given)), given, strict=True))


def study_name(path: str | Path) -> str:
    """The file's name without its ending, with everything but letters, digits, '.', '_' and '-' made a '-'."""
    path = Path(path)
    name = path.name or path.resolve().name
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            name = name[: -len(ending)]
            break
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return name[:100] or "study"


@dataclass(frozen=True, eq=False)
class Study:
    """One patient as the model meets them.

    Attributes:
        name: a safe file name; for pictures, tables and subfolders.
        source: what was given, for messages and reports.
        rung: of the evidence ladder: virtual patient, rendered from real CT, real radiograph.
        view_p: float32 (size, size), the input view as line integrals p.
        geometry: how the views are taken; of a radiograph, how it is assumed to have been taken.
        input_yaw_deg: where the source stands in the input view.
        volume: the scan in HU where there is one; it knows the truth at every angle.
        isocentre_mm: (3,) RAS mm in the scan's own coordinates; the origin where there is no scan.
        calibrated: whether `view_p` are line integrals, or grey values that were given their distribution.
        notes: what was assumed or changed on the way, one sentence each.
        labels: what is known of the patient, by name: findings that are there (1) or not (0), and the outcome of a
            virtual patient.
    """

    name: str
    source: str
    rung: str
    view_p: np.ndarray
    geometry: Geometry
    input_yaw_deg: float = 0.0
    volume: Volume | None = None
    isocentre_mm: np.ndarray = field(default_factory=lambda: np.zeros(3))
    calibrated: bool = True
    notes: tuple[str, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)

    def truth_p(self, yaw_deg: Sequence[float] = STANDARD_ARC) -> np.ndarray | None:
        """The true views at these angles, float32 (n, size, size) line integrals; None where there is no scan."""
        if self.volume is None:
            return None
        from ..projection.render import render

        return render(self.volume, self.geometry, yaw_deg)


def open_input(
    path: str | Path,
    geometry: Geometry,
    series: str | None = None,
    view: View = "auto",
    *,
    name: str | None = None,
    frontal_quantiles: np.ndarray | None = None,
    adapter: "Adapter | None" = None,
    remove_couch: bool = False,
) -> Study:
    """A chest CT (its frontal is rendered) or a frontal chest radiograph, ready for the model.

    A radiograph's grey values are no line integrals. They are matched in distribution to the training frontals, which
    keeps their order and nothing else: the study is not `calibrated`. An AP radiograph, hung like a PA one, is entered
    as PA: the two differ by which side of the chest is magnified more, which the model does not know.

    Args:
        path: CT as NIfTI file, DICOM folder or zip; radiograph as PNG, JPEG or DICOM file.
        geometry: how to render a CT's views.
        series: SeriesInstanceUID, where a DICOM folder holds several CT series.
        view: pa or ap for radiographs; auto believes a DICOM's header and else assumes PA.
        name: the study's name; by default that of the file.
        frontal_quantiles: what a radiograph is matched to; by default the packaged training frontals.
        adapter: brings a radiograph into the simulated domain instead: its lung field is put in place, then a network.
        remove_couch: replace a CT's couch, cushions and sheets by air first; no frontal shows where they are.

    Raises:
        InputError: the file cannot be used.
    """
    from ..volume.read import is_volume

    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    name = name or study_name(path)
    if is_volume(path):
        from ..volume import couch
        from ..volume.nifti import is_virtual_patient
        from ..volume.read import read_volume

        rung = VIRTUAL if is_virtual_patient(path) else FROM_CT
        volume = read_volume(path, series)
        notes: tuple[str, ...] = ()
        if remove_couch:
            volume, notes = couch.remove_couch(volume), ("couch, cushions and sheets were replaced by air",)
        return replace(study_of_volume(volume, geometry, name, str(path), rung), notes=notes)
    if adapter is not None:
        made = adapted(path, adapter, view)
        return Study(name, str(path), RADIOGRAPH, made.adapted_p, geometry, calibrated=False, notes=made.notes)
    return _study_of_radiograph(path, geometry, view, name, frontal_quantiles)


def open_procedural(seed: int, geometry: Geometry) -> Study:
    """The procedural patient of a seed."""
    from ..data.rendering import procedural_study
    from ..phantoms import patient_labels, patient_volume

    source = f"procedural patient, seed {seed}"
    study = study_of_volume(patient_volume(seed), geometry, procedural_study(seed), source, VIRTUAL)
    return replace(study, labels=patient_labels(seed))


def study_of_volume(volume: Volume, geometry: Geometry, name: str, source: str, rung: str) -> Study:
    """A volume, seen by the model through its rendered frontal alone."""
    from ..projection.render import render
    from ..volume.chest import isocentre_mm

    frontal = render(volume, geometry, (0.0,))[0]
    return Study(name, source, rung, frontal, geometry, volume=volume, isocentre_mm=isocentre_mm(volume))


def _study_of_radiograph(
    path: Path, geometry: Geometry, view: View, name: str, frontal_quantiles: np.ndarray | None
) -> Study:
    from ..radiograph.quantiles import match_quantiles
    from ..radiograph.read import read_radiograph

    radiograph = read_radiograph(path, geometry.size, ap=view == "ap")
    if frontal_quantiles is None:
        from ..evaluation.baselines import load_baselines

        frontal_quantiles = load_baselines().frontal_quantiles
    notes = ["uncalibrated: grey values were matched in distribution to simulated frontals", *radiograph.notes]
    notes += _taken(radiograph.ap, path, view)
    view_p = match_quantiles(radiograph.gray, frontal_quantiles)
    return Study(name, str(path), RADIOGRAPH, view_p, geometry, calibrated=False, notes=tuple(notes))


@dataclass(frozen=True, eq=False)
class Adapted:
    """A radiograph on the networks' frame and scale, and what an adapter made of it, float32 (size, size) p."""

    input_p: np.ndarray
    adapted_p: np.ndarray
    notes: tuple[str, ...]


def adapted(path: str | Path, adapter: "Adapter", view: View = "auto") -> Adapted:
    """A radiograph brought into the simulated domain: its lung field put in place, then the network.

    Raises:
        InputError: as `read_radiograph`.
    """
    from ..radiograph.lung_field import normalise_radiograph
    from ..radiograph.read import read_radiograph

    path = Path(path)
    radiograph = read_radiograph(path, 2 * adapter.size, ap=view == "ap")  # halved where the lungs are put in place
    input_p, field = normalise_radiograph(radiograph.gray, adapter.size)
    notes = ["uncalibrated: a network made it look like a simulated frontal, and may have changed what it shows"]
    if not field.certain:
        notes.append("no lungs were found with certainty: its place and size in the frame are a guess")
    return Adapted(input_p, adapter(input_p), (*notes, *radiograph.notes, *_taken(radiograph.ap, path, view)))


def _taken(ap: bool, path: Path, view: View) -> list[str]:
    """What has to be said of how a radiograph was taken."""
    if ap:
        return ["AP, entered as if it were PA: the heart may be predicted too large"]
    if view == "auto" and path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        return ["assumed to be PA; say --view ap if it is not"]
    return []
