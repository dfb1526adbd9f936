"""Posed views on disk: a folder with `store.json` and one `<study>.npz` for each study.

A view is a line integral p, kept as uint16 of 4096 p on one scale for all images; nothing is stretched per image, so
grey means the same in every picture. The arrays are not compressed: zlib takes 40 times as long as writing them and
saves 6 % (37 views of 128 x 128 pixels, 1.2 MB: 45 ms against 1.2 ms).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InputError, UsageError, reading
from ..core.evidence import RADIOGRAPH
from ..io.files import atomic_path, prepare_out, write_json
from ..io.npz import read_npz
from ..io.text import read_json
from ..parallel.threads import on_threads
from ..projection.geometry import STANDARD_ARC, Geometry
from .groups import TRAIN, evidence_of, group_of, part_of

FORMAT, VERSION = "xray2xray-views", 1
SCALE = 4096  # uint16 steps of p: 0 to 16 in steps of 0.00024; the densest chest seen reaches 8.4
MANIFEST = "store.json"
_STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_YAW_TOLERANCE_DEG = 1e-3


@dataclass(frozen=True, eq=False)
class StudyViews:
    """The views of one study: `views_p` (n, size, size) float32 line integrals, `yaw_deg` (n,) float32."""

    study: str
    views_p: np.ndarray
    yaw_deg: np.ndarray
    labels: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LiftedStudy:
    """What each ray of the frontal has measured, and how much of it is in each plane (see `projection.lifted`).

    Attributes:
        portions: float16 (depth, rows, columns), in cells of two pixels.
        lifted_p: float16 (2 rows, 2 columns), line integrals; NaN where the scan does not tell.
    """

    portions: np.ndarray
    lifted_p: np.ndarray


@dataclass(frozen=True)
class ViewStore:
    """A folder of studies that were all taken with one geometry. Make one with `create` or `open`."""

    folder: Path
    geometry: Geometry

    @classmethod
    def create(
        cls, folder: str | Path, geometry: Geometry, overwrite: bool = False, resume: bool = False
    ) -> "ViewStore":
        """An empty store; with `resume`, the store that an interrupted job left there.

        Raises:
            UsageError: the folder is not empty and neither `overwrite` nor `resume` was asked for, or the store to
                resume was taken with another geometry.
            InputError: the store to resume cannot be read.
        """
        folder = Path(folder)
        if resume and (folder / MANIFEST).exists():
            store = cls.open(folder)
            if store.geometry != geometry:
                raise UsageError(f"{folder} holds views of another geometry ({store.geometry}); choose another folder")
            return store
        prepare_out(folder, overwrite)
        write_json(folder / MANIFEST, {"format": FORMAT, "version": VERSION, "scale": SCALE, **asdict(geometry)})
        return cls(folder, geometry)

    @classmethod
    def open(cls, folder: str | Path) -> "ViewStore":
        """An existing store.

        Raises:
            InputError: there is none, or `store.json` is damaged or of a version this package does not know.
        """
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            raise InputError(f"{folder} is not a view store (no {MANIFEST} in it); make one with `xray2xray render`")
        manifest = read_json(path, "cannot be used", "render the store again")
        with reading(path, "cannot be used", "render the store again"):
            kind = (manifest.pop("format"), manifest.pop("version"), manifest.pop("scale"))
            if kind != (FORMAT, VERSION, SCALE):
                raise ValueError(f"format, version, scale are {kind}, expected {(FORMAT, VERSION, SCALE)}")
            return cls(folder, Geometry(**manifest))

    def path(self, study: str) -> Path:
        """Where a study is, or would be, kept.

        Raises:
            InputError: `study` is no safe file name.
        """
        if not _STUDY_NAME.fullmatch(study):
            raise InputError(
                f"study name {study!r} is no safe file name: use letters, digits, '.', '_' or '-', at most 128, "
                "and begin with a letter or digit"
            )
        return self.folder / f"{study}.npz"

    def __contains__(self, study: str) -> bool:
        return self.path(study).is_file()

    def __len__(self) -> int:
        return len(self.studies())

    def studies(self) -> list[str]:
        """Names of all complete studies, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.npz") if not path.name.startswith("."))

    def training_studies(self) -> list[str]:
        """Names of the studies that models and baselines may learn from, sorted.

        Left out are those that a table gives to validation or test, and radiographs, which have no other view.

        Raises:
            InputError: as `read`.
        """
        labels = ((study, self.read_labels(study)) for study in self.studies())
        return [study for study, found in labels if part_of(found) == TRAIN and evidence_of(found) != RADIOGRAPH]

    def words(self, studies: Sequence[str]) -> str:
        """Whose views these studies are, as files that are made of them say it.

        Raises:
            InputError: as `read`.
        """
        labels = {study: self.read_labels(study) for study in studies}
        patients = {group_of(found, study) for study, found in labels.items()}
        levels = " and ".join(sorted({evidence_of(found) for found in labels.values()}))
        counted = f"{len(studies):,} studies of {len(patients):,} patients"
        return f"{counted} in {self.folder.resolve().name} ({levels})"

    def write(
        self,
        study: str,
        views_p: np.ndarray,
        yaw_deg: Sequence[float] | np.ndarray,
        labels: Mapping[str, Any] | None = None,
        lifted: LiftedStudy | None = None,
    ) -> None:
        """Keep a study, whole or not at all; p outside 0..16 is clipped. An older study of that name is replaced.

        Args:
            study: name, also the name of its file.
            views_p: (n, size, size) line integrals, n >= 1.
            yaw_deg: (n,) degrees.
            labels: what JSON can hold.
            lifted: its volume on the grid of the volumetric form, which is trained on it.

        Raises:
            InputError: shapes that do not fit the store, values that are not finite, or an unsafe name.
        """
        path = self.path(study)
        views_p, yaw = np.asarray(views_p), np.asarray(yaw_deg, np.float32)
        size = self.geometry.size
        if yaw.ndim != 1 or len(yaw) == 0 or views_p.shape != (len(yaw), size, size):
            raise InputError(
                f"study {study}: the store {self.folder} wants views (n, {size}, {size}) and n angles, "
                f"got {views_p.shape} and {yaw.shape}"
            )
        if not (np.isfinite(views_p).all() and np.isfinite(yaw).all()):
            raise InputError(
                f"study {study}: views or angles hold NaN or infinity; check the volume it was rendered from"
            )
        stored = np.clip(np.rint(views_p * SCALE), 0, np.iinfo(np.uint16).max).astype(np.uint16)
        text = json.dumps(dict(labels or {}), allow_nan=False)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, views=stored, yaw_deg=yaw, labels=np.array(text), **({} if lifted is None else vars(lifted)))

    def read(self, study: str, yaw_deg: Sequence[float] | None = None) -> StudyViews:
        """One study as line integrals.

        Args:
            yaw_deg: only the views at these angles, in this order; all by default.

        Raises:
            InputError: the store does not hold it, its file is damaged, or it has no view at one of the angles.
        """
        views, yaw, labels = self._read_stored(study)
        if yaw_deg is not None:
            places = self._places(study, yaw, yaw_deg, "render the study again")
            views, yaw = views[places], yaw[places]
        return StudyViews(study, views.astype(np.float32) / SCALE, yaw, labels)

    def read_at(self, study: str, yaw_deg: float) -> np.ndarray:
        """One view of a study as line integrals, float32 (size, size).

        Raises:
            InputError: as `read`.
        """
        return self.read(study, [yaw_deg]).views_p[0]

    def has_view(self, study: str, yaw_deg: float) -> bool:
        """Whether a study has a view from an angle.

        Raises:
            InputError: as `read`.
        """
        yaw = self._arrays(study, ["yaw_deg"]).get("yaw_deg", np.empty(0))
        return bool((np.abs(yaw - yaw_deg) <= _YAW_TOLERANCE_DEG).any())

    def read_labels(self, study: str) -> dict[str, Any]:
        """The labels of a study, without its views.

        Raises:
            InputError: as `read`.
        """
        return _labels(self._arrays(study, ["labels"]), self.path(study))

    def relabel(self, study: str, labels: Mapping[str, Any]) -> None:
        """Give a study other labels; its views stay.

        Raises:
            InputError: as `read`.
        """
        arrays = {**self._arrays(study), "labels": np.array(json.dumps(dict(labels), allow_nan=False))}
        with atomic_path(self.path(study)) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def read_lifted(self, study: str) -> LiftedStudy | None:
        """The volume of a study on the grid of the volumetric form, if it was rendered with one.

        Raises:
            InputError: as `read`.
        """
        arrays = self._arrays(study, ["portions", "lifted_p"])
        return LiftedStudy(**arrays) if len(arrays) == 2 else None

    def read_standard(self, studies: Sequence[str] | None = None, dtype: Any = np.uint16) -> np.ndarray:
        """The 37 views of the standard arc of many studies, (n, 37, size, size).

        Args:
            studies: all of `studies()` by default.
            dtype: uint16 gives the stored 4096 p, a float type gives p.

        Raises:
            InputError: a study is missing, damaged or lacks an angle of the arc.
        """
        names = self.studies() if studies is None else list(studies)
        whole = np.dtype(dtype) == np.uint16
        stack = np.empty((len(names), len(STANDARD_ARC), self.geometry.size, self.geometry.size), dtype)

        def read(numbered: tuple[int, str]) -> None:
            i, study = numbered
            views, yaw, _ = self._read_stored(study)
            arc = views[self._places(study, yaw, STANDARD_ARC, "render it on the standard arc")]
            stack[i] = arc if whole else arc.astype(np.float32) / SCALE

        on_threads(read, enumerate(names), threads=None)  # the disk and checksums take most of the time
        return stack

    def _places(self, study: str, yaw: np.ndarray, wanted_deg: Sequence[float], advice: str) -> np.ndarray:
        """Where among a study's angles the wanted ones are, (n,); an InputError with advice where one is not."""
        apart = np.abs(yaw - np.array(wanted_deg, float)[:, None])
        found = apart.min(axis=1) <= _YAW_TOLERANCE_DEG  # never, of NaN
        if not found.all():
            lacking = wanted_deg[int(found.argmin())]
            raise InputError(f"{self.path(study)} has no view at {lacking:g} degrees; {advice}")
        return apart.argmin(axis=1)

    def _read_stored(self, study: str) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        path, size = self.path(study), self.geometry.size
        arrays = self._arrays(study, ["views", "yaw_deg", "labels"])
        with reading(path, "is damaged", "delete it and render the study again"):
            views, yaw = arrays["views"], arrays["yaw_deg"]
        labels = _labels(arrays, path)
        if views.dtype != np.uint16 or yaw.ndim != 1 or views.shape != (len(yaw), size, size):
            raise InputError(
                f"{path} does not hold uint16 views of {size} x {size} pixels; delete it and render it again"
            )
        return views, yaw, labels

    def _arrays(self, study: str, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The arrays of a study's file."""
        path = self.path(study)
        if not path.is_file():
            raise InputError(f"the view store {self.folder} holds no study {study!r}")
        return read_npz(path, "is damaged", "delete it and render the study again", names)


def _labels(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, Any]:
    with reading(path, "is damaged", "delete it and render the study again"):
        labels = json.loads(str(arrays["labels"])) if "labels" in arrays else {}
        if not isinstance(labels, dict):
            raise ValueError("its labels have no names")
        return labels
