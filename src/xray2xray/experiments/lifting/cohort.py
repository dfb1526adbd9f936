"""Chests as a lifting network learns them: what each ray measures, and how much of it each plane holds.

    python -m xray2xray.experiments.lifting.cohort --out CACHE --virtual 400 --scans CT... --warps 30
    python -m xray2xray.experiments.lifting.cohort --out CACHE --scans CT... --views

One patient is some memory-mapped arrays in the cache, written whole or not at all, so that an interrupted run goes on:

    NAME.portions.npy  float16 (depth, rows, columns)          p of each ray in each plane, in cells of two pixels
    NAME.p.npy         float16 (2 rows, 2 columns)             line integrals; NaN where the scan does not reach
    NAME.views.npy     float16 (37, size, size), with --views  the truth at the standard arc
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...io.files import atomic_path
from ...parallel.progress import progress
from ...phantoms import make_patient, sample_patient
from ...projection.forward import project
from ...projection.frustum import Frustum
from ...projection.geometry import STANDARD_ARC, preset
from ...projection.lifted import true_portions
from ...projection.render import render
from ...volume.attenuation import hu_to_mu
from ...volume.chest import body_mask, isocentre_mm
from ...volume.couch import remove_couch
from ...volume.read import read_volume
from ...volume.volume import Volume
from ..warps.warp import outline, patient_outline, warp

SIZE = 128  # pixels along the side of a frontal
CELLS = SIZE // 2  # of the lifted state along the same side
FRUSTUM = Frustum(preset("chest", SIZE))
BODY_MU = 0.01  # per mm: half of water


@dataclass(frozen=True)
class Chest:
    """A patient not made yet; `volume()` reads or builds it."""

    name: str
    volume: Callable[[], Volume]


def virtual_chest(seed: int, whole: bool = False) -> Volume:
    """A virtual patient without a couch; `whole`, all that is built of the body, whatever the scan would leave out."""
    patient = sample_patient(seed)
    scan = replace(patient.scan, couch=False)
    if whole:
        scan = replace(scan, field_of_view_mm=1e3, above_mm=1e3, below_mm=1e3)
    return make_patient(replace(patient, scan=scan)).volume


def real_chest(path: Path) -> Volume:
    """A CT without its couch."""
    return remove_couch(read_volume(path))


def warped_chest(path: Path, seed: int) -> Volume:
    """A CT bent to the outline of the virtual patient of a seed."""
    volume = real_chest(path)
    return warp(volume, outline(volume), patient_outline(seed), seed)


def chests(virtual: Sequence[int], whole: bool, scans: Sequence[Path], warps: int) -> Iterator[Chest]:
    """The scans, each followed by its warps, then the virtual patients of these seeds."""
    for number, path in enumerate(scans):
        name = path.name.removesuffix(".gz").removesuffix(".nii")
        yield Chest(f"scan-{name}", partial(real_chest, path))
        for copy in range(warps):
            yield Chest(f"warp-{name}-{copy:03d}", partial(warped_chest, path, 100_000 + 1_000 * number + copy))
    for seed in virtual:
        yield Chest(f"{'whole' if whole else 'virtual'}-{seed:07d}", partial(virtual_chest, seed, whole))


def line_integrals(volume: Volume, frustum: Frustum = FRUSTUM) -> np.ndarray:
    """(rows, columns) float32 of the frustum, beyond the detector too; NaN where the scan does not tell.

    A scan that ends in the middle of a body says nothing of what lies beyond. Where it ends within the view, the view
    shows it; a ray beyond the detector that passes such an end is not known.
    """
    _, rows, columns = frustum.shape
    wide = replace(frustum.geometry, size=columns, detector_mm=frustum.geometry.pixel_mm * columns)
    mu, centre = hu_to_mu(volume.hu, body_mask(volume)), isocentre_mm(volume)
    (p,) = project(mu, volume.affine, wide, [frustum.pose], centre, threads=1)
    p = p[(columns - rows) // 2 : (columns + rows) // 2]
    x_mm, z_mm = frustum.at(frustum.geometry.size, 1).points_mm()[[0, 2], 0]
    beyond = np.ones(p.shape, bool)
    beyond[frustum.detector] = False
    first = volume.affine[:3, 3] - centre  # canonical axes: the first voxel lies lowest
    last = first + volume.affine[:3, :3].diagonal() * (np.array(volume.shape) - 1)
    for axis, at_mm in ((0, x_mm), (2, z_mm)):
        planes = np.moveaxis(mu, axis, 0)
        for end, outside in ((planes[1], at_mm < first[axis]), (planes[-2], at_mm > last[axis])):
            if (end > BODY_MU).mean() > 0.01:
                p[beyond & outside] = np.nan
    return p


def write(cache: Path, chest: Chest, with_views: bool) -> None:
    """Lift a patient into the cache, unless it is there."""
    wanted = ["portions", "p", *(["views"] if with_views else [])]
    if all((cache / f"{chest.name}.{part}.npy").exists() for part in wanted):
        return
    volume = chest.volume()
    arrays = {"portions": true_portions(volume, FRUSTUM.at(CELLS)), "p": line_integrals(volume)}
    if with_views:
        arrays["views"] = render(volume, FRUSTUM.geometry, STANDARD_ARC, threads=1)
    for part, array in arrays.items():
        with atomic_path(cache / f"{chest.name}.{part}.npy") as temporary:
            np.save(temporary, array.astype(np.float16))


class Cohort:
    """The patients of a cache whose names begin with one of these; arrays are mapped, not read."""

    def __init__(self, cache: Path, kinds: Sequence[str]) -> None:
        self.cache = cache
        names = (path.name.removesuffix(".p.npy") for path in cache.glob("*.p.npy"))
        self.names = sorted(name for name in names if name.startswith(tuple(kinds)))
        if not self.names:
            raise InputError(f"{cache} holds no patients {' or '.join(kinds)}; write it with .lifting.cohort first")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Portions and line integrals of a patient, as `objective.py` takes them."""
        return self.load("portions", number), self.load("p", number)

    def load(self, part: str, number: int) -> np.ndarray:
        return np.load(self.cache / f"{self.names[number]}.{part}.npy", mmap_mode="r")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--virtual", type=int, default=0, help="how many virtual patients")
    parser.add_argument("--whole", action="store_true", help="virtual patients that no scan cuts")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--scans", type=Path, nargs="*", default=[], help="CTs")
    parser.add_argument("--warps", type=int, default=0, help="of each CT, bent to the outlines of virtual patients")
    parser.add_argument("--views", action="store_true", help="the standard arc too, to judge by")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    seeds = range(given.first_seed, given.first_seed + given.virtual)
    for chest in progress(list(chests(seeds, given.whole, given.scans, given.warps)), "lifting"):
        try:
            write(given.out, chest, given.views)
        except InputError as error:
            print(f"left out {chest.name}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
