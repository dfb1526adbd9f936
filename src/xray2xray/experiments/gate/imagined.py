"""What is known of imagined anatomy: of radiographs' frontals, and how far off it is where the truth is known.

    python -m xray2xray.experiments.gate.imagined DATA --out DIR [--scans CT ...]

DATA holds cxr_nih/ and cxr_ctr/. Writes imagined.json, which belongs beside the gate: the anatomy that the packaged
model imagines from one radiograph of each patient that the gate has learned from, and how wide an interval must be to
hold 95 % of the true values of virtual patients. Prints the share that it holds of others, and of scans.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ...core.seeds import FIRST_PROBE_SEED, FIRST_TEST_SEED
from ...evaluation.anatomy import ENDPOINTS
from ...evaluation.imagined import FILE, YAW_DEG, Known, imagine, measured
from ...io.files import write_json
from ...parallel.progress import progress
from ...projection.render import render
from ...session.session import Session
from ...session.study import Study, open_procedural
from ..command import command, parser
from ..realism.report import table
from .pictures import nih_paths, wingspan_paths


def main(words: Sequence[str] | None = None) -> None:
    made = parser("gate.imagined", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--scans", type=Path, nargs="*", default=[], help="CTs to test the intervals on")
    made.add_argument("--radiographs", type=int, default=200, help="at most, taken evenly")
    made.add_argument("--patients", type=int, default=40, help="virtual, to learn from, and as many to test on")
    made.add_argument("--out", type=Path, required=True)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    session = Session.open()
    paths = [*nih_paths(options.data, ("train", "validation")).values(), *wingspan_paths(options.data, "first")]
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(len(paths), options.radiographs)).astype(int)]
    values = [expected(session, session.study(path)) for path in progress(paths, "radiographs")]
    learned = errors(session, virtual(session, FIRST_PROBE_SEED, options.patients))
    known = Known.of(session.model.config.form, np.array(values), learned)
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / FILE, known.as_dict())
    tested = {"virtual patients": errors(session, virtual(session, FIRST_TEST_SEED, options.patients))}
    if options.scans:
        tested["scans"] = errors(session, (session.study(path, remove_couch=True) for path in options.scans))
    rows = []
    for name, off in tested.items():
        shares = (np.abs(off) <= known.reach).mean(axis=0)
        rows.append([f"{name} ({len(off)})", *(f"{100 * share:.0f} %" for share in shares)])
    print(table(("95 % intervals hold", *(one.words for one in ENDPOINTS.values())), rows))


def virtual(session: Session, first: int, count: int) -> Iterable[Study]:
    return (open_procedural(seed, session.geometry) for seed in progress(range(first, first + count), "patients"))


def expected(session: Session, study: Study) -> np.ndarray:
    """The endpoints (k,) of the expected views."""
    entered = session.entered(study)
    state = session.model.observe([(entered.view_p, entered.input_yaw_deg)])
    return measured(session.model.predict(state, YAW_DEG)[0], session.geometry)


def errors(session: Session, studies: Iterable[Study]) -> np.ndarray:
    """Error over spread (n, k) of patients whose scan is known."""
    found = []
    for study in studies:
        assert study.volume is not None
        imagined = imagine(session.model, session.model.observe([(study.view_p, 0.0)]), session.geometry)
        truth = measured(render(study.volume, session.geometry, YAW_DEG), session.geometry)
        found.append((imagined.values - truth) / np.maximum(imagined.spread, 1e-6))
    return np.array(found)


if __name__ == "__main__":
    main()
