"""What every cohort becomes: a table of studies, one picture or scan each, with its patient, view, split and labels."""

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ...core.errors import InputError
from ...core.seeds import deal
from ...io.files import atomic_path

# "frontal": PA or AP, unknown which; "": the files do not say. A CT's frontal is rendered.
View = Literal["PA", "AP", "frontal", "lateral", "CT", ""]
FRONTAL: tuple[View, ...] = ("PA", "AP", "frontal", "CT")
_VIEWS: dict[str | None, View] = {view: view for view in get_args(View)}
COLUMNS = ("study", "patient", "path", "view", "split")
OUTCOME = ("event", "time_years")
AGE, SEX = "age", "sex"
SERIES = "series"
LABEL = "a label is a column of nothing but 1, 0, -1, true, false, yes, no and blanks"


def as_view(view: str | None) -> View:
    """A view as tables have it, of what `radiograph.view` found: an oblique and what is unknown are neither."""
    return _VIEWS.get(view, "")


@dataclass(frozen=True)
class Sample:
    """One picture or scan.

    Attributes:
        study: a safe file name that says nothing of the person.
        patient: which patient of the cohort; all samples of one share it.
        path: the picture, or the folder of a CT.
        view: how it was taken.
        split: train, validation or test; empty where the cohort has none.
        labels: 1 (there), 0 (not there) or NaN (unknown), or a measured number, by name; the same names in all samples
            of a cohort.
        event: how follow-up ended: 0 censored, 1 cardiovascular death, 2 other death; NaN where it is not known.
        time_years: years from the scan to the end of follow-up; NaN where it is not known.
        series: SeriesInstanceUID of a CT whose folder holds other scans, too; else empty.
        age: years, at the scan or (NLST) on entering the study; NaN where it is not known.
        sex: F, M, or empty.
    """

    study: str
    patient: str
    path: Path
    view: View
    split: str = ""
    labels: Mapping[str, float] = field(default_factory=dict)
    event: float = math.nan
    time_years: float = math.nan
    series: str = ""
    age: float = math.nan
    sex: str = ""

    def facts(self) -> dict[str, float | str | None]:
        """What a view store keeps of it beside its views: the columns of the table, None where unknown."""
        said = {"patient": self.patient, "split": self.split, "view": self.view, SEX: self.sex}
        numbers = {AGE: self.age, **{name: getattr(self, name) for name in OUTCOME}, **self.labels}
        return {
            **{name: text for name, text in said.items() if text},
            **{name: None if math.isnan(number) else number for name, number in numbers.items()},
        }


@dataclass(frozen=True)
class Cohort:
    """The samples that can be used, and what could not be (by file or study) with the reason."""

    kind: str
    samples: tuple[Sample, ...]
    failed: Mapping[str, str] = field(default_factory=dict)

    def without_bad_outcomes(self) -> "Cohort":
        """Without studies whose follow-up ends before the scan, or whose event is no whole number from 0."""
        return self.without(
            {
                s.study: f"event {s.event:g} after {s.time_years:.3g} years is no outcome"
                for s in self.samples
                if s.time_years < 0 or s.event < 0 or s.event % 1 > 0  # false for NaN, unknown
            }
        )

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(self.samples[0].labels) if self.samples else ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits in the order train, validation, test; empty where the cohort has none."""
        there = {sample.split for sample in self.samples} - {""}
        known = [name for name in ("train", "validation", "test") if name in there]
        return (*known, *sorted(there - set(known)))

    def label(self, name: str) -> np.ndarray:
        """float64 (n,) of 0, 1 and NaN."""
        return np.array([sample.labels[name] for sample in self.samples])

    def select(self, keep: Callable[[Sample], bool]) -> "Cohort":
        """The samples of which `keep` is true."""
        return replace(self, samples=tuple(filter(keep, self.samples)))

    def frontals(self) -> "Cohort":
        """Without laterals and pictures of unknown view, which are listed as left out."""
        said = {"lateral": "a lateral view", "": "the files do not say how it was taken"}
        others = {s.study: said.get(s.view, s.view) for s in self.samples if s.view not in FRONTAL}
        return self.without({study: f"{why}; --views all keeps it" for study, why in others.items()})

    def without(self, failed: Mapping[str, str]) -> "Cohort":
        """Without these studies, which failed for the reason given."""
        kept = self.select(lambda sample: sample.study not in failed)
        return replace(kept, failed={**self.failed, **dict(sorted(failed.items()))})

    def with_labels(self, names: Iterable[str]) -> "Cohort":
        """With these labels only.

        Raises:
            InputError: the cohort lacks one.
        """
        names = list(names)
        lacking = [name for name in names if name not in self.label_names]
        if lacking:
            there = ", ".join(self.label_names) or "none"
            hint = f" ({LABEL})" if self.kind == "csv" else ""
            raise InputError(f"{self.kind}: no label {lacking[0]}; this cohort has {there}{hint}")
        return replace(self, samples=tuple(replace(s, labels={n: s.labels[n] for n in names}) for s in self.samples))

    def split_by_patient(self) -> "Cohort":
        """Every patient dealt to train, validation or test (70, 10, 20 %) by a hash of the patient's name.

        The split depends on nothing else, so a cohort that grows, or is read in parts, never contradicts itself.
        """
        return replace(self, samples=tuple(replace(s, split=deal(s.patient)) for s in self.samples))


def safe_name(name: str) -> str:
    """A study's name of letters, digits, '.', '_' and '-' only."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "study"


def write_table(path: str | Path, cohort: Cohort) -> None:
    """The samples as CSV, whole or not at all; `read_plain` reads it back.

    Columns are study, patient, path (relative to the table), view, split, series and sex where any is given, age, event
    and time_years where any is known, and the labels; unknown is empty.
    """
    folder = Path(path).parent.resolve()
    known = [
        name for name in (AGE, *OUTCOME) if any(not math.isnan(getattr(sample, name)) for sample in cohort.samples)
    ]
    named = [name for name in (SERIES, SEX) if any(getattr(sample, name) for sample in cohort.samples)]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, *named, *known, *cohort.label_names])
        for s in cohort.samples:
            where = os.path.relpath(s.path.parent.resolve() / s.path.name, folder)
            texts = [getattr(s, name) for name in named]
            numbers = [*(getattr(s, name) for name in known), *s.labels.values()]
            table.writerow([s.study, s.patient, where, s.view, s.split, *texts, *map(_text, numbers)])


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.6g}"


def summary(cohort: Cohort) -> str:
    """Counts, views, and each label's prevalence among the known, for each split; several lines."""
    views = Counter(sample.view or "unknown view" for sample in cohort.samples)
    patients = len({sample.patient for sample in cohort.samples})
    lines = [
        f"{cohort.kind}: {len(cohort.samples):,} studies of {patients:,} patients: "
        + ", ".join(f"{count:,} {view}" for view, count in views.most_common())
    ]
    parts = {name: np.array([s.split == name for s in cohort.samples]) for name in cohort.splits}
    parts = parts or {"all": np.ones(len(cohort.samples), bool)}
    width = max((len(name) for name in cohort.label_names), default=8) + 2
    lines.append(" " * width + "".join(f"{part:>20}" for part in parts))
    lines.append(f"{'studies':<{width}}" + "".join(f"{inside.sum():>20,}" for inside in parts.values()))
    for name in cohort.label_names:
        values = cohort.label(name)
        lines.append(f"{name:<{width}}" + "".join(f"{_share(values[inside]):>20}" for inside in parts.values()))
    return "\n".join(lines)


def _share(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "unknown"
    share = f"{100 * known.mean():.1f} %" if np.isin(known, (0, 1)).all() else f"mean {known.mean():.4g}"
    return f"{share} of {len(known):,}"
