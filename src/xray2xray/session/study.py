"""Any chest CT or chest radiograph as what the model takes: a frontal view in line integrals."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np

from ..core.errors import InputError, UsageError
from ..core.evidence import FROM_CT, RADIOGRAPH, VIRTUAL
from ..data.inputs import Input, Taken, kind_of, study_name
from ..projection.geometry import STANDARD_ARC, Geometry
from ..volume.chest import Chest
from ..volume.interop import image_of
from ..volume.volume import Volume

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.adaptation import Adapter
    from ..models.gate import Quality
    from ..radiograph.read import Radiograph

View = Taken
COUCH_NOTE = "couch, cushions and sheets were replaced by air"
MATCHED = "uncalibrated: grey values were matched in distribution to simulated frontals"
_BEGINNINGS = {b"\x89PNG": ".png", b"\xff\xd8": ".jpg", b"PK\x03\x04": ".zip", b"\x1f\x8b": ".nii.gz"}


@dataclass(frozen=True, eq=False)
class Study:
    """One patient as the model takes them.

    Attributes:
        name: a safe file name; for pictures, tables and subfolders.
        source: what was given, for messages and reports.
        evidence_level: virtual patient, rendered from real CT, real radiograph.
        view_p: float32 (size, size), the input view as line integrals p.
        geometry: how the views are taken; of a radiograph, how it is assumed to have been taken.
        input_yaw_deg: where the source stands in the input view.
        volume: the scan in HU where there is one; the truth at every angle is rendered from it.
        calibrated: whether `view_p` are line integrals, or grey values that were given their distribution.
        notes: what was assumed or changed on the way, one sentence each.
        labels: what is known of the patient, by name: findings that are there (1) or not (0), and the outcome of a
            virtual patient.
        film_p: (size, size), a radiograph as it is, on the scale of `view_p`, where an adapter made that of it.
        ap: a radiograph that was taken from the front.
        quality: what the gate says of a radiograph.
    """

    name: str
    source: str
    evidence_level: str
    view_p: np.ndarray
    geometry: Geometry
    input_yaw_deg: float = 0.0
    volume: Chest | None = None
    calibrated: bool = True
    notes: tuple[str, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)
    film_p: np.ndarray | None = None
    ap: bool = False
    quality: "Quality | None" = None

    def __repr__(self) -> str:
        size, scan = self.geometry.size, "no scan" if self.volume is None else repr(self.volume)
        return f"Study({self.name}, {self.evidence_level}, {size} x {size} pixels, yaw {self.input_yaw_deg:g}, {scan})"

    @property
    def isocentre_mm(self) -> np.ndarray:
        """(3,) RAS mm in the scan's own coordinates; the origin where there is no scan."""
        return np.zeros(3) if self.volume is None else self.volume.isocentre_mm

    @property
    def posed(self) -> "Study":
        """An AP radiograph as the view from 180 degrees, where the patient's right is on the right; others as they are.

        Views are seen from the detector towards the source, films are hung as if the reader stood before the patient.
        """
        if not self.ap or self.input_yaw_deg:
            return self
        film_p = None if self.film_p is None else self.film_p[:, ::-1]
        view_p = np.ascontiguousarray(self.view_p[:, ::-1])
        return replace(self, view_p=view_p, film_p=film_p, input_yaw_deg=180.0)

    def truth_p(self, yaw_deg: Sequence[float] = STANDARD_ARC) -> np.ndarray | None:
        """The true views at these angles, float32 (n, size, size) line integrals; None where there is no scan."""
        if self.volume is None:
            return None
        from ..projection.render import render

        return render(self.volume, self.geometry, yaw_deg)


Given: TypeAlias = "str | Path | bytes | np.ndarray | Tensor | Volume | Input | Study"
"""A path, the bytes of a file, grey values (h, w) of a radiograph, a scan in HU, or a study. Images of other libraries
(`volume.interop.image_of`) are taken, too, and have no type that could be named here."""


def open_input(
    given: Given,
    geometry: Geometry,
    series: str | None = None,
    view: View = "auto",
    *,
    name: str | None = None,
    model: str | Path = "tiny",
    adapter: "Adapter | None" = None,
    remove_couch: bool = False,
) -> Study:
    """A chest CT (its frontal is rendered) or a frontal chest radiograph, ready for the model.

    A radiograph's grey values are no line integrals. They are matched in distribution to the training frontals, which
    keeps their order and nothing else: the study is not `calibrated`. An AP radiograph is kept as it is hung, like a PA
    one; `Study.posed` enters it from the front.

    Args:
        given: CT as NIfTI, NRRD or MetaImage file, DICOM folder or zip; radiograph as PNG, JPEG, TIFF or DICOM file;
            the bytes of any such file; a `Volume` in HU; grey values (h, w) of a radiograph, dense = bright; an image
            of SimpleITK, TorchIO, MONAI or nibabel, of a scan in HU or of a radiograph; a study is returned as it is.
        geometry: how to render a CT's views.
        series: SeriesInstanceUID, or UID:acquisition, where a DICOM folder holds several CT series.
        view: pa or ap for radiographs; auto believes a table or a DICOM's header and else assumes PA.
        name: the study's name; by default that of the file.
        model: whose training frontals a radiograph is matched to, by name or folder.
        adapter: brings a radiograph into the simulated domain instead: its lung field is put in place, then a network.
        remove_couch: replace a CT's couch, cushions and sheets by air first; no frontal shows where they are.

    Raises:
        InputError: it cannot be used, or the model has no input statistics.
    """
    if isinstance(given, Study):
        return given
    if isinstance(given, Input):
        view, name, series, given = given.taken(view), name or given.study, given.series or series, given.path
    if isinstance(given, bytes):
        with tempfile.TemporaryDirectory() as folder:  # the readers of CTs want a file
            path = Path(folder) / f"study{_ending(given)}"
            path.write_bytes(given)
            try:
                study = open_input(
                    path, geometry, series, view, name=name, model=model, adapter=adapter, remove_couch=remove_couch
                )
            except InputError as error:  # the reader of the message never saw the file
                raise InputError(str(error).replace(str(path), "the bytes")) from None
            return replace(study, source="bytes")
    if not isinstance(given, str | Path | np.ndarray) and (image := image_of(given)) is not None:
        given = image
    if isinstance(given, Volume):
        return study_of_volume(given, geometry, name or "study", given.source, FROM_CT, remove_couch)
    if not isinstance(given, str | Path):
        pixels = _pixels(given)
        if pixels.ndim != 2 or not np.isfinite(pixels).all():
            raise InputError(f"an array {pixels.shape}: give finite grey values (h, w) of a radiograph, or a Volume")
        return _study_of_radiograph(pixels, geometry, view, name or "study", model, adapter)
    path = Path(given)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    kind, name = kind_of(path), name or study_name(path)
    if kind == "radiograph":
        return _study_of_radiograph(path, geometry, view, name, model, adapter)
    if kind != "CT":
        raise InputError(f"{path}: a {kind}, not a CT or radiograph; `xray2xray embed` takes it")
    from ..volume.nifti import is_virtual_patient
    from ..volume.read import read_volume

    level = VIRTUAL if is_virtual_patient(path) else FROM_CT
    return study_of_volume(read_volume(path, series), geometry, name, str(path), level, remove_couch)


def open_procedural(seed: int, geometry: Geometry) -> Study:
    """The procedural patient of a seed."""
    from ..data.rendering import procedural_study
    from ..phantoms import patient_labels, patient_volume

    source = f"procedural patient, seed {seed}"
    study = study_of_volume(patient_volume(seed), geometry, procedural_study(seed), source, VIRTUAL)
    return replace(study, labels=patient_labels(seed))


def study_of_volume(
    volume: Volume, geometry: Geometry, name: str, source: str, evidence_level: str, remove_couch: bool = False
) -> Study:
    """A volume, of which the model gets the rendered frontal alone."""
    from ..models.gate.gate import packaged
    from ..projection.render import render
    from ..radiograph.display import radiograph as to_radiograph
    from ..volume import couch

    chest = couch.remove_couch(volume) if remove_couch else Chest.of(volume)
    notes = (*volume.notes, COUCH_NOTE) if remove_couch else volume.notes
    frontal = render(chest, geometry, (0.0,))[0]
    if evidence_level == FROM_CT and packaged()(to_radiograph(frontal)).refusal:
        notes = (*notes, "its frontal is no upright frontal chest: look how the patient lies in the scan")
    return Study(name, source, evidence_level, frontal, geometry, volume=chest, notes=notes)


def open_lateral(given: Given, like_p: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """A lateral radiograph as line integrals (size, size) with the distribution of `like_p`, and what was assumed.

    Raises:
        InputError: it cannot be read.
    """
    from ..radiograph.quantiles import match_quantiles, quantiles_of
    from ..radiograph.read import gray_of_array, read_radiograph

    notes: list[str] = []
    if isinstance(given, str | Path):
        read = read_radiograph(given, len(like_p), lateral=True)
        gray, notes = read.gray, list(read.notes)
    else:
        gray = gray_of_array(_pixels(given), len(like_p), notes)
    said = "uncalibrated lateral: its grey values were matched to those of the lateral predicted from the frontal alone"
    assumed = "assumed to be a left lateral (front on the left), on the scale and at the height of the frontal"
    return match_quantiles(gray, quantiles_of(like_p)), (said, assumed, *notes)


def _study_of_radiograph(
    given: Path | np.ndarray,
    geometry: Geometry,
    view: View,
    name: str,
    model: str | Path,
    adapter: "Adapter | None",
) -> Study:
    from ..models.gate.gate import packaged
    from ..models.input_statistics import InputStatistics
    from ..radiograph.quantiles import match_quantiles

    radiograph = _radiograph(given, geometry.size, view)
    view_p = match_quantiles(radiograph.gray, InputStatistics.load(model).frontal_quantiles)
    film_p, notes = None, (MATCHED, *radiograph.notes, *_projection_notes(radiograph))
    if adapter is not None:
        made = adapted(given, adapter, view)
        film_p, view_p, notes = view_p, made.adapted_p, made.notes
    return Study(
        name,
        str(given) if isinstance(given, Path) else "array",
        RADIOGRAPH,
        view_p,
        geometry,
        calibrated=False,
        notes=notes,
        film_p=film_p,
        ap=radiograph.ap,
        quality=packaged()(radiograph.gray),
    )


@dataclass(frozen=True, eq=False)
class Adapted:
    """A radiograph on the networks' frame and scale, and what an adapter made of it, float32 (size, size) p."""

    input_p: np.ndarray
    adapted_p: np.ndarray
    notes: tuple[str, ...]


def adapted(given: str | Path | np.ndarray | Input, adapter: "Adapter", view: View = "auto") -> Adapted:
    """A radiograph brought into the simulated domain: its lung field put in place, then the network.

    Raises:
        InputError: as `read_radiograph`.
    """
    from ..radiograph.lung_field import normalise_radiograph

    if isinstance(given, Input):
        view, given = given.taken(view), given.path
    given = Path(given) if isinstance(given, str) else given
    radiograph = _radiograph(given, 2 * adapter.size, view)  # halved where the lungs are put in place
    input_p, field = normalise_radiograph(radiograph.gray, adapter.size)
    notes = ["uncalibrated: a network made it look like a simulated frontal, and may have changed what it shows"]
    if not field.certain:
        notes.append("no lungs were found with certainty: its place and size in the frame are a guess")
    notes += [*radiograph.notes, *_projection_notes(radiograph)]
    return Adapted(input_p, adapter(input_p), tuple(notes))


def _radiograph(given: Path | np.ndarray, size: int, view: View) -> "Radiograph":
    from ..radiograph.read import Radiograph, gray_of_array, read_radiograph
    from ..radiograph.view import view_of

    if view not in get_args(View):
        raise UsageError(f"view is {view!r}; choose {', '.join(get_args(View))}")
    if isinstance(given, Path):
        return read_radiograph(given, size, ap=None if view == "auto" else view == "ap")
    notes: list[str] = []
    gray = gray_of_array(given, size, notes)
    return Radiograph(gray, "array", view == "ap", True, notes, "" if view == "auto" else view_of(view) or "")


def _pixels(given: Any) -> np.ndarray:
    """Grey values as float32, of a tensor on any device and of any type too."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given if given.is_complex() else given.float()
    try:
        pixels = np.asarray(given)
        if np.iscomplexobj(pixels):
            raise TypeError
        return pixels.astype(np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{type(given).__name__}: give a path, bytes, or grey values (h, w) of a radiograph") from None


def _projection_notes(radiograph: "Radiograph") -> list[str]:
    """What has to be said of how a radiograph was taken."""
    if radiograph.ap:
        return ["AP: taken from the front, so the heart is magnified more than in PA"]
    if radiograph.view != "PA":
        return ["assumed to be PA; say --view ap if it is not"]
    return []


def _ending(content: bytes) -> str:
    """The ending of a file with this content, by its first bytes."""
    if content[128:132] == b"DICM":
        return ".dcm"
    known = (ending for beginning, ending in _BEGINNINGS.items() if content.startswith(beginning))
    return next(known, ".nii" if content[344:347] in (b"n+1", b"ni1") else ".png")
