"""A case that is ready to look at: its page, its views from any side, its files. All of it in memory."""

import io
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..evaluation.metrics import Array
from ..io.archive import packed_zip
from ..projection.forward import project
from ..projection.frustum import march
from ..projection.geometry import STANDARD_ARC, Geometry, Pose
from ..projection.lifted import Lifted
from ..radiograph.display import to_gray
from ..reporting.fragment import fragment, page_data, script_json
from ..reporting.page import report
from ..reporting.report import report_numbers
from ..reporting.result import Result
from ..reporting.sprites import grey_of_p
from ..volume.chest import Chest
from ..volume.dicom.write import write_dicom_series
from ..volume.nifti import write_nifti
from ..volume.volume import Volume

MOST_TRUE_VOXELS = 2**23  # of a scan that is kept to be turned: 2 mm
GRIDS = 12  # lifted chests whose grids are kept, of all cases: 8 MB each at 128 pixels
PREDICTION = "xray2xray prediction, not a CT"


@dataclass(frozen=True, eq=False)
class Truth:
    """A scan's attenuation (x, y, z), no finer than is needed to render it, and where its isocentre lies."""

    mu: Array
    affine: Array
    isocentre_mm: Array

    def view(self, geometry: Geometry, pose: Pose) -> Array:
        """(size, size) line integrals."""
        return project(self.mu, self.affine, geometry, [pose], self.isocentre_mm, threads=1)[0]


class Grids:
    """The grids of the chests that were turned last: making one takes longer than the view."""

    def __init__(self, most: int = GRIDS) -> None:
        self._most, self._kept, self._lock = most, OrderedDict[int, tuple[Lifted, Array]](), threading.Lock()

    def view(self, chest: Lifted, pose: Pose) -> Array:
        """(size, size) line integrals of a chest."""
        with self._lock:
            found = self._kept.pop(id(chest), None)
        if found is None:
            grid = chest.portions()
            grid /= chest.frustum.sample_mm.astype(np.float32)
            found = chest, grid  # the chest too: its id is no other's while it lives
        with self._lock:
            self._kept[id(chest)] = found
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return march(found[1], chest.frustum, chest.frustum.geometry, [pose], threads=1)[0]

    def drop(self, chests: Mapping[str, Lifted]) -> None:
        """Forget the grids of a case."""
        with self._lock:
            for chest in chests.values():
                self._kept.pop(id(chest), None)


@dataclass(frozen=True, eq=False)
class Finished:
    """Attributes:
    html, data: the fragment of the page, and what its scripts need, as JSON.
    chests: of the forms of M that keep one: the expected chest and the possible ones, by name.
    arcs: views (37, h, w) in p of everything that was predicted, and the truth, float16.
    volume: in HU.
    """

    title: str
    html: str
    data: str
    geometry: Geometry
    chests: Mapping[str, Lifted]
    truth: Truth | None
    arcs: Mapping[str, Array]
    volume: Volume | None

    @property
    def names(self) -> list[str]:
        """What can be seen from any side."""
        return [*self.chests, *(["truth"] if self.truth and self.chests else [])]

    def views(self, pose: Pose, names: list[str], grids: Grids) -> bytes:
        """Grey values, uint8 (names, size, size), of `names` from one pose.

        Raises:
            KeyError: there is no such view.
        """
        return b"".join(grey_of_p(self._view(name, pose, grids)).tobytes() for name in names)

    def _view(self, name: str, pose: Pose, grids: Grids) -> Array:
        if name == "truth" and self.truth is not None:
            return self.truth.view(self.geometry, pose)
        return grids.view(self.chests[name], pose)

    @property
    def files(self) -> dict[str, tuple[str, Callable[[], bytes]]]:
        """What can be downloaded, by name: its media type, and what makes it."""
        found: dict[str, tuple[str, Callable[[], bytes]]] = {
            "report.html": ("text/html", lambda: report(self.title, self.html, self.data).encode()),
            "views.zip": ("application/zip", self._pictures),
        }
        if self.volume is not None:
            found["volume.nii.gz"] = ("application/gzip", partial(_nifti, self.volume))
            found["volume-dicom.zip"] = ("application/zip", partial(_dicom, self.volume))
        return found

    def _pictures(self) -> bytes:
        """Every view as PNG in the fixed window, a folder for each of what was predicted."""
        pictures = {}
        for name, views_p in self.arcs.items():
            for yaw, gray in zip(STANDARD_ARC, to_gray(views_p), strict=True):
                pictures[f"{name}/yaw{yaw:+g}.png"] = _png(gray)
        return packed_zip(pictures)


def finished(result: Result, title: str) -> Finished:
    """What is kept of a result. The scan itself is not."""
    numbers = report_numbers(result, ceiling=False)
    named = dict(zip(result.predictions_p, result.states, strict=True))
    chests: dict[str, Any] = {name: state.chests[0] for name, state in named.items() if hasattr(state, "chests")}
    arcs = result.predictions_p | ({} if result.truth_p is None else {"truth": result.truth_p})
    volume = result.volume_in_patient
    return Finished(
        title,
        fragment(result, numbers, title),
        script_json(page_data(result, numbers)),
        result.geometry,
        chests,
        None if result.scan is None else _truth(result.scan),
        {name: views_p.astype(np.float16) for name, views_p in arcs.items()},
        None if volume is None else Volume(np.rint(volume.hu).astype(np.float32), volume.affine),
    )


def _truth(scan: Chest) -> Truth:
    n = 1
    while scan.mu_per_mm.size / n**3 > MOST_TRUE_VOXELS:
        n += 1
    whole = [size // n for size in scan.shape]
    mu = scan.mu_per_mm[tuple(slice(0, n * size) for size in whole)]
    mu = mu.reshape(whole[0], n, whole[1], n, whole[2], n).mean(axis=(1, 3, 5)) if n > 1 else mu
    coarse = np.diag([n, n, n, 1.0])
    coarse[:3, 3] = (n - 1) / 2
    return Truth(np.ascontiguousarray(mu, np.float32), scan.affine @ coarse, scan.isocentre_mm)


def _png(gray: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(gray).save(buffer, format="PNG")
    return buffer.getvalue()


def _nifti(volume: Volume) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "volume.nii.gz"
        write_nifti(path, volume, PREDICTION)
        return path.read_bytes()


def _dicom(volume: Volume) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_dicom_series(Path(folder) / "volume", volume, PREDICTION)
        found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return packed_zip({path.relative_to(folder).as_posix(): path.read_bytes() for path in found})
