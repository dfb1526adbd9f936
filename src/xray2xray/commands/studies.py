"""What `rotate` and `reconstruct` share: every input through a session, each of several into a folder of its own."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UsageError
from .options import as_paths, at_least, one_of
from .run_folder import check_inputs, list_failed, run_folder

if TYPE_CHECKING:
    from ..data.inputs import Input
    from . import reconstruct, rotate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudiesResult:
    """`studies`: the folder of each study, by name; `failed`: what was wrong with the inputs left out, by path."""

    out: Path
    studies: dict[str, Path]
    failed: dict[str, str]


def analyse_each(
    options: "rotate.Options | reconstruct.Options",
    yaw_deg: Sequence[float] | None = None,
    size: int | None = None,
    dicom: bool = False,
) -> StudiesResult:
    """Analyse every input and write it; a volume of `size` voxels a side if one is wanted, and that as DICOM too."""
    from ..data.inputs import check_file_names, list_inputs
    from ..io.files import FAILED, whole
    from ..models.transitions.registry import forms
    from ..parallel.usable import each
    from ..reporting.index import row_of, write_index
    from ..reporting.report import summary, write_result
    from ..session.session import READING, Session

    one_of(("auto", *forms()), form=options.form)
    at_least(1, pixels=options.pixels, samples=options.samples)
    if options.lateral is not None:
        check_inputs([options.lateral], options.out)
    with run_folder(options) as folder:
        inputs = list_inputs(as_paths(options.inputs))
        if not inputs:
            raise UsageError("no input file given")
        if options.lateral is not None and len(inputs) > 1:
            raise UsageError(f"--lateral belongs to one patient, and {len(inputs)} inputs are given")
        check_file_names(inputs)
        session = Session.open(options.source, options.form, options.device, options.adapter, options.pixels)

        def one(item: "Input") -> tuple[Path, dict[str, Any]]:
            def told(stage: str) -> None:
                if stage != READING:  # of a file that cannot be read the error alone is said
                    log.info("%s: %s", item.study, stage)

            result = session.analyse(
                item,
                yaw_deg=yaw_deg,
                volume_size=size,
                series=options.series,
                view=options.view,
                remove_couch=options.remove_couch,
                samples=options.samples,
                lateral=options.lateral,
                force=options.force,
                stage=told,
            )
            log.info("%s: writing the report%s", item.study, " and the volume" if size else "")
            into = folder if len(inputs) == 1 else folder / item.study
            with whole(into):
                write_result(into, result, dicom)
            words = [f"{item.study} ({result.evidence_level})", *result.notes, summary(result)]
            print("\n".join([*words, f"  {into / 'report.html'}\n"]), flush=True)
            return into, row_of(result)

        done, failed = each(inputs, one, lambda item: str(item.path))
        list_failed(folder / FAILED, inputs, failed)
        if len(inputs) > 1:
            write_index(folder, [row for _, row in done], failed)
            print(f"{len(done)} of {len(inputs)} inputs: {folder / 'index.html'}")
    return StudiesResult(folder, {row["study"]: into for into, row in done}, failed)
