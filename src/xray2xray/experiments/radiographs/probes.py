"""What features are worth on real radiographs: how large the heart is, and the findings of reports.

    python -m xray2xray.experiments.radiographs.probes DATA --out OUT [--adapter DIR] [--encoders NAME=FOLDER ...]

DATA holds cxr_ctr/ (JSRT and Wingspan: the cardiothoracic ratio of their masks) and cxr_nih/ (ChestX-ray14: text-mined
labels, several pictures of a patient). Linear heads on frozen features, cross-validated by patient: every picture is
answered for by heads that saw no picture of its patient, and the answers of two deals into folds are averaged. A
radiograph is prepared in each of three ways: `quantiles` (the verbs' default), `lung_field`, and with --adapter
`adapted`. Of an adapter half of the radiographs of cxr_ctr were seen in training, without labels. OUT gets
radiographs.json and radiographs.md.
"""

import argparse
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from ...core.errors import InputError
from ...models.adaptation import Adapter
from ...models.input_statistics import InputStatistics
from ...models.world_model import WorldModel
from ...parallel.progress import progress
from ...probing.head import row_space, standardisation
from ...probing.probe import block_means
from ...probing.probe import fit as fit_probe
from ...radiograph import match_quantiles, read_radiograph
from ...radiograph.lung_field import normalise_radiograph
from ...reporting.tables import ADJUSTED, p_value, table
from ...reporting.tables import interval as written
from ...statistics.auroc import auroc
from ...statistics.contrasts import holm_by_name
from ...statistics.intervals import patient_contrast
from ..command import command, parser, write_result
from ..downstream.features import open_encoder

Array = NDArray[np.floating]
Fit = Callable[[Array, Array, NDArray[Any], int], Callable[[Array], Array]]
Features = Callable[[Array], Array]

FINDINGS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "PleuralEffusion")
LARGE_HEART = 0.5  # CTR above which a heart is large
LEAST = 20  # positive pictures that a finding needs, and half as many positive patients
FOLDS, DEALS, DRAWS = 5, 2, 1000
PENALTIES = np.logspace(0, 6, 13)
EXTREME = 8.0  # standard deviations
OTHER = "pixels"  # with which all features are compared


@dataclass(frozen=True, eq=False)
class Task:
    """Pictures, whose they are, and a number or a yes or no of each.

    Attributes:
        metric: r2, or auroc; rows: of the pictures that it is about.
    """

    name: str
    metric: str
    rows: NDArray[np.intp]
    truth: Array
    patients: NDArray[Any]


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    made = parser("radiographs.probes", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--adapter", type=Path)
    made.add_argument("--encoders", nargs="+", default=[], metavar="NAME=FOLDER")
    made.add_argument("--source", default="tiny", help="the world model")
    return command(made, run, words)


def run(options: argparse.Namespace) -> dict[str, Any]:
    encoders = {name: Path(folder) for name, _, folder in (one.partition("=") for one in options.encoders)}
    result = measure(options.data, options.source, encoders, options.adapter)
    write_result(options.out, "radiographs", result, markdown(result))
    return result


def measure(data: Path, source: str, encoders: Mapping[str, Path], adapter: Path | None) -> dict[str, Any]:
    """Every task with every kind of features of every way of preparing.

    Raises:
        InputError: the data, the model or an encoder cannot be read.
    """
    model = WorldModel.from_pretrained(source, "direct")
    reads: dict[str, Features] = {OTHER: block_means}
    reads |= {kind: partial(model.features, kind=kind) for kind in ("vision", "hidden", "volumetric")}
    reads |= {name: open_encoder(folder, "cpu").features for name, folder in encoders.items()}
    paths, tasks = read_tasks(data)
    found: list[dict[str, Any]] = []
    for way, prepare in ways(model.size, adapter).items():
        views_p = np.stack([prepare(path) for path in progress(paths, way)])
        seen = {name: np.asarray(read(views_p), np.float64) for name, read in reads.items()}
        rows = []
        for task in progress(tasks, f"{way}: heads"):
            answers = {name: answered(x, task) for name, x in seen.items()}
            rows += [{"way": way, **scored(task, answers, name)} for name in answers]
        for i, p in holm_by_name({i: row["delta_p"] for i, row in enumerate(rows) if row["features"] != OTHER}).items():
            rows[i]["delta_p"] = p
        found += rows
    about = {task.name: _about(task) for task in tasks}
    return {"tasks": about, "folds": FOLDS, "deals": DEALS, "compared_with": OTHER, "rows": found}


def read_tasks(data: Path) -> tuple[list[Path], list[Task]]:
    """All pictures, and what is asked of which.

    Raises:
        InputError: the tables are not there.
    """
    ctr_rows, nih_rows = (_rows(data / name / "labels.csv") for name in ("cxr_ctr", "cxr_nih"))
    paths = [data / "cxr_ctr" / row["dataset"] / f"{row['id']}.png" for row in ctr_rows]
    paths += [data / "cxr_nih" / row["set"] / row["image"] for row in nih_rows]
    ctr = np.array([float(row["ctr_mask"]) for row in ctr_rows])
    tasks = []
    for name in ("jsrt", "wingspan"):
        at = np.array([i for i, row in enumerate(ctr_rows) if row["dataset"] == name])
        who = np.array([ctr_rows[i]["id"] for i in at])
        tasks.append(Task(f"CTR, {name}", "r2", at, ctr[at], who))
        tasks.append(Task(f"cardiomegaly, {name}", "auroc", at, (ctr[at] > LARGE_HEART).astype(float), who))
    at, who = len(ctr_rows) + np.arange(len(nih_rows)), np.array([row["patient"] for row in nih_rows])
    for finding in FINDINGS:
        truth = np.array([float(row[finding]) for row in nih_rows])
        if truth.sum() >= LEAST and len(set(who[truth == 1])) >= LEAST // 2:
            tasks.append(Task(f"{finding}, ChestX-ray14", "auroc", at, truth, who))
    return paths, tasks


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None


def ways(size: int, adapter: Path | None) -> dict[str, Callable[[Path], Array]]:
    """From a picture to line integrals (size, size)."""
    quantiles = InputStatistics.load("tiny").frontal_quantiles

    def lung_field(path: Path) -> Array:
        return normalise_radiograph(read_radiograph(path, 2 * size).gray, size)[0]

    found: dict[str, Callable[[Path], Array]] = {
        "quantiles": lambda path: match_quantiles(read_radiograph(path, size).gray, quantiles),
        "lung_field": lung_field,
    }
    if adapter is not None:
        adapted = Adapter.from_pretrained(adapter)
        found["adapted"] = lambda path: adapted(lung_field(path))
    return found


# ---------------------------------------------------------------- heads


def answered(x: Array, task: Task) -> Array:
    """What heads that did not see the patient say of each picture, the mean over `DEALS` deals into folds."""
    fit = _ridge if task.metric == "r2" else _logistic
    x = x[task.rows]
    return np.mean([_out_of_fold(x, task.truth, task.patients, fit, seed) for seed in range(DEALS)], axis=0)


def _out_of_fold(x: Array, y: Array, patients: NDArray[Any], fit: Fit, seed: int) -> Array:
    _, owner = np.unique(patients, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(owner.max() + 1) % FOLDS)[owner]
    found = np.empty(len(y))
    for i in range(FOLDS):
        held = fold == i
        found[held] = fit(x[~held], y[~held], owner[~held], seed)(x[held])
    return found


def _ridge(x: Array, y: Array, patients: NDArray[Any], seed: int) -> Callable[[Array], Array]:
    """Ridge regression; its penalty by leaving one picture out at a time (one of each patient)."""
    mean, scale = standardisation(x)

    def standard(some: Array) -> Array:
        """What is black in all training pictures but one must not decide about the next that has something there."""
        return ((some - mean) / scale).clip(-EXTREME, EXTREME)

    inside, basis = row_space(standard(x))
    fitted = RidgeCV(PENALTIES).fit(inside, y)
    return lambda unseen: np.asarray(fitted.predict(standard(unseen) @ basis.T))


def _logistic(x: Array, y: Array, patients: NDArray[Any], seed: int) -> Callable[[Array], Array]:
    fitted = fit_probe(x, y.astype(np.int64), label="finding", features="features", seed=seed, patients=patients)
    return lambda unseen: fitted.probability(unseen)


# ---------------------------------------------------------------- scores


def scored(task: Task, answers: Mapping[str, Array], name: str) -> dict[str, Any]:
    """The metric of one kind of features, and its difference to `OTHER`, with patients resampled together."""

    def value(answer: Array, rows: NDArray[np.intp]) -> float:
        if task.metric == "auroc":
            return float(auroc(task.truth[rows], answer[rows]))
        return r2(task.truth[rows], answer[rows])

    def difference(rows: NDArray[np.intp]) -> float:
        return value(answers[name], rows) - value(answers[OTHER], rows)

    everyone = np.arange(len(task.truth))
    bounds, p = patient_contrast(difference, task.patients, DRAWS)
    return {
        "task": task.name,
        "features": name,
        "metric": task.metric,
        "value": value(answers[name], everyone),
        "ci95": patient_contrast(partial(value, answers[name]), task.patients, DRAWS)[0],
        "mae": float(np.abs(answers[name] - task.truth).mean()) if task.metric == "r2" else None,
        "delta": difference(everyone),
        "delta_ci95": bounds,
        "delta_p": p,
    }


def r2(truth: Array, answer: Array) -> float:
    """1 less the share of the truth's variance that is left."""
    return 1 - float(np.square(truth - answer).sum() / np.square(truth - truth.mean()).sum())


def _about(task: Task) -> str:
    said = f"{len(task.truth)} pictures of {len(set(task.patients))} patients"
    return said if task.metric == "r2" else f"{said}, {int(task.truth.sum())} positive"


def markdown(result: dict[str, Any]) -> str:
    rows = result["rows"]
    names = list(dict.fromkeys(row["features"] for row in rows))
    lines = ["# Real radiographs", ""]
    lines += [f"- {name}: {about}" for name, about in result["tasks"].items()]
    for way in dict.fromkeys(row["way"] for row in rows):
        here = {(row["task"], row["features"]): row for row in rows if row["way"] == way}
        cells = [[task, *(_cell(here[task, name]) for name in names)] for task in result["tasks"]]
        apart = [[task, *(_apart(here[task, name]) for name in names if name != OTHER)] for task in result["tasks"]]
        lines += ["", f"## `{way}`", "", "R2 and mean absolute error of CTR, AUROC otherwise.", ""]
        lines += table(["", *names], cells)
        lines += ["", f"Less `{OTHER}`, on the same patients, {ADJUSTED}:", ""]
        lines += table(["", *(name for name in names if name != OTHER)], apart)
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    error = "" if row["mae"] is None else f", {row['mae']:.3f}"
    return f"{row['value']:.2f}{written(row['ci95'], '.2f')}{error}"


def _apart(row: dict[str, Any]) -> str:
    return f"{row['delta']:+.2f}{written(row['delta_ci95'], '+.2f')}{p_value(row['delta_p'])}"


if __name__ == "__main__":
    main()
