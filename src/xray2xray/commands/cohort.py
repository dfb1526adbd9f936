from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .options import at_least
from .registry import as_function
from .run_folder import check_inputs, keep_config, output_file


@dataclass(frozen=True)
class Options:
    """Turn a public cohort as it was delivered, or a plain CSV, into one checked table of studies.

    The table has a row for each picture or CT: study, patient, path, view, split, labels, and how follow-up ended where
    that is known; `render` takes it, and `embed`. What cannot be used is listed beside it in a table of its own.
    Refused are a patient, a file or nearly the same picture in two splits. docs/howto/public-cohorts.md says where each
    cohort is to be had.

    Attributes:
        folder: the cohort's folder; of csv the table.
        kind: nlst, lidc, nih (ChestX-ray14), chexpert, mimic (MIMIC-CXR-JPG) or csv.
        out: the table to write, .csv.
        labels: keep these labels only, and refuse one that has one class only, in all or in a split. Of a csv, a column
            of other numbers (a count, a volume) that is named here is kept, too.
        uncertain: what -1 becomes, the report is not sure: ignore (unknown), zeros or ones.
        unmentioned: what a blank label of chexpert or mimic becomes, the report does not mention it: zeros or ignore.
        views: frontal leaves laterals and pictures of unknown view out; all keeps them.
        split: own keeps the cohort's; patient assigns patients to train, validation, test (70, 10, 20 %) by a hash.
        skip_images: do not read the pictures; then damaged ones, and the same one in two splits, are not found.
        workers: processes that read pictures and headers (default: one for each core).
        overwrite: replace the table.
    """

    folder: str | Path
    kind: Literal["nlst", "lidc", "nih", "chexpert", "mimic", "csv"]
    out: str | Path = "cohort.csv"
    labels: Sequence[str] | None = None
    uncertain: Literal["ignore", "zeros", "ones"] = "ignore"
    unmentioned: Literal["ignore", "zeros"] = "zeros"
    views: Literal["frontal", "all"] = "frontal"
    split: Literal["own", "patient"] = "own"
    skip_images: bool = False
    workers: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class CohortResult:
    """`studies`: how many rows the table has; `failed`: what was wrong with those left out, by name."""

    out: Path
    studies: int
    failed: dict[str, str]


def run(options: Options) -> CohortResult:
    from ..data import cohorts
    from ..io.files import write_failed
    from ..parallel.executor import executor
    from ..parallel.progress import progress

    at_least(1, workers=options.workers)
    check_inputs([options.folder], options.out)
    out = output_file(options, (".csv",))
    policy = cohorts.Policy(options.uncertain, options.unmentioned)
    found = cohorts.read_cohort(options.folder, options.kind, policy, options.workers, options.labels or ())
    found = found.with_labels(options.labels) if options.labels is not None and found.samples else found
    found = found.frontals() if options.views == "frontal" else found
    found = found.split_by_patient() if options.split == "patient" else found
    cohorts.check_names(found)
    cohorts.check_split(found)
    if not options.skip_images:
        done = executor(options.workers, len(found.samples)).map(cohorts.fingerprint, found.samples)
        prints = list(progress(done, "reading pictures", len(found.samples)))
        read = {sample.study: one for sample, one in zip(found.samples, prints, strict=True)}
        found = found.without({study: one for study, one in read.items() if isinstance(one, str)})
        cohorts.check_names(found)
        cohorts.check_images(found, {study: one for study, one in read.items() if not isinstance(one, str)})
    if options.labels is not None:
        cohorts.check_classes(found)
    failed_out = out.with_name(f"{out.stem}.failed.csv")
    write_failed(failed_out, [{"what": what, "problem": problem} for what, problem in found.failed.items()])
    cohorts.write_table(out, found)
    keep_config(out, options)
    lines = [cohorts.summary(found), cohorts.paper_sizes(found)]
    lines += [f"{len(found.failed):,} left out ({failed_out})"] if found.failed else []
    print("\n".join([*filter(None, lines), f"the table is {out}"]))
    return CohortResult(out, len(found.samples), dict(found.failed))


cohort = as_function(Options, run)
