"""How long one frontal takes to become 37 views and a volume, by each form of M that does it, and how much memory.

    python -m benchmarks.imagine [--pixels 256] [--samples 16] [--rounds 5] [--threads 2] [--json FILE]

The frontal is of a virtual patient. `volumetric` makes views of `--pixels` and cuts its own chest into 128^3 voxels;
`direct` makes views of 128 pixels and has its volume reconstructed from them. Times are medians of the clock over
rounds in which all take turns. Peak memory is of a process that does nothing else, all imports included.
"""

import argparse
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.timing import taking_turns
from xray2xray.core.seeds import FIRST_TEST_SEED
from xray2xray.io.files import write_json
from xray2xray.models.world_model import WorldModel
from xray2xray.phantoms import patient_volume
from xray2xray.projection import STANDARD_ARC, render
from xray2xray.projection.geometry import preset
from xray2xray.reconstruction.reconstruct import centred_affine, reconstruct

VOXELS, EXTENT_MM = 128, 384.0


def works(pixels: int, samples: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name; models are loaded and the frontal is rendered before."""
    volumetric, direct = (WorldModel.from_pretrained(form=form) for form in ("volumetric", "direct"))
    patient = patient_volume(FIRST_TEST_SEED)
    fine_p, coarse_p = (render(patient, preset("chest", size), [0.0])[0] for size in (pixels, direct.size))
    affine = centred_affine(VOXELS, EXTENT_MM)

    def views_and_volume() -> tuple[np.ndarray, np.ndarray | None]:
        state = volumetric.observe([(fine_p, 0.0)])
        return volumetric.predict(state, STANDARD_ARC), volumetric.volume(state, (VOXELS,) * 3, affine)

    def views_then_volume() -> object:
        views_p = direct.imagine(coarse_p)
        geometry = preset("chest", direct.size)
        return reconstruct(views_p, geometry, STANDARD_ARC, VOXELS, EXTENT_MM, show_progress=False)

    def drawn() -> np.ndarray:
        generator = torch.Generator().manual_seed(0)
        return volumetric.imagine(fine_p, generator=generator, samples=samples)

    return {
        f"volumetric, {pixels} px: 37 views and a volume": views_and_volume,
        f"direct, {direct.size} px: 37 views and a volume": views_then_volume,
        f"volumetric, {pixels} px: 37 views of {samples} samples": drawn,
    }


def peak_mib(name: str, pixels: int, samples: int, threads: int) -> float:
    """Peak resident memory of this process after one of the works; to be called in a process of its own (Linux)."""
    torch.set_num_threads(threads)
    works(pixels, samples)[name]()
    # Not ru_maxrss: a child begins with that of the process that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    runs = works(given.pixels, given.samples)
    seconds = taking_turns(runs, given.rounds)
    table = Table("", "s", "peak MiB")
    rows = []
    for name in runs:
        with get_context("spawn").Pool(1) as alone:
            memory = alone.apply(peak_mib, (name, given.pixels, given.samples, given.threads))
        rows.append({"work": name, "seconds": seconds[name], "peak_mib": memory})
        table.add_row(name, f"{seconds[name]:.2f}", f"{memory:.0f}")
    Console().print(table)
    if given.json:
        write_json(given.json, {"threads": given.threads, "rounds": given.rounds, "rows": rows})


if __name__ == "__main__":
    main()
