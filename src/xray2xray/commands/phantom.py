from dataclasses import dataclass
from pathlib import Path

from .options import at_least
from .registry import as_function
from .run_folder import run_folder


@dataclass(frozen=True)
class Options:
    """Make a cohort of procedural patients: CT volumes as NIfTI, and a table of who they are and what becomes of them.

    Writes one thorax-SEED.nii.gz a patient; cohort.csv, a row for each with findings, calcium, split, and outcome; and
    columns.csv, which says what every column means. The same seed is the same patient on every machine. Seeds from
    1,000,000 are never used for training and are all of the split test; below, a hash of the seed assigns seven in ten
    to train, one to validation and two to test. To render views without keeping volumes, use `render --procedural`.

    Attributes:
        out: the output folder.
        count: how many patients.
        seed: the first patient's seed; the others follow it.
        size: voxels along each edge of the cube of 384 mm.
        truth: also write what is where: the tissue of every voxel, thorax-SEED_tissue.nii.gz, with tissues.csv for
            the names, and the findings, thorax-SEED_findings.nii.gz, with findings.csv for the bit of each.
        workers: processes (default: one for each core).
        overwrite: empty the output folder of an earlier run first.
    """

    out: str | Path
    count: int = 1
    seed: int = 0
    size: int = 128
    truth: bool = False
    workers: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class PhantomResult:
    out: Path
    studies: tuple[str, ...]


def run(options: Options) -> PhantomResult:
    from functools import partial

    from ..io.files import write_csv
    from ..parallel.executor import executor
    from ..parallel.progress import progress
    from ..phantoms import COLUMNS, PATHOLOGIES, TISSUES
    from ..phantoms.cohort import write_patient

    at_least(1, count=options.count, workers=options.workers)
    at_least(0, seed=options.seed)
    at_least(32, size=options.size)
    seeds = range(options.seed, options.seed + options.count)
    with run_folder(options) as folder:
        write = partial(write_patient, folder, options.size, options.truth)
        made = executor(options.workers, len(seeds)).map(write, seeds)
        rows = list(progress(made, "making patients", len(seeds)))
        write_csv(folder / "cohort.csv", rows)
        write_csv(folder / "columns.csv", [{"column": name, "meaning": text} for name, text in COLUMNS.items()])
        if options.truth:
            write_csv(folder / "tissues.csv", [{"value": i, "name": name} for i, name in enumerate(TISSUES)])
            bits = [{"bit": i, "value": 1 << i, "name": name} for i, name in enumerate(PATHOLOGIES)]
            write_csv(folder / "findings.csv", bits)
    print(f"{options.count} procedural patient{'s' if options.count > 1 else ''} in {folder}")
    return PhantomResult(folder, tuple(row["study"] for row in rows))


phantom = as_function(Options, run)
