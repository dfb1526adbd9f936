"""NLST: CTs as TCIA delivers them, with the tables of the Cancer Data Access System (CDAS) in the same folder.

CTs: https://doi.org/10.7937/TCIA.HMQ8-J677; TCIA's page "NLST CT Images -- General Details" says that the dates are
made up and mean the screening year: 1999, 2000 and 2001 are T0, T1 and T2. Tables: the NLST data dictionaries of CDAS,
"Participant" and "Spiral CT Abnormalities". As delivered on request they are participant_dMMDDYY.csv and
sct_abnormalities_dMMDDYY.csv; the public part of them is nlst_780_prsn_idc_*.csv, which has no deaths, and
nlst_780_ctab_idc_*.csv. Column names differ in case between deliveries.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import InputError
from ...io.files import told_apart
from .labels import as_age, as_number
from .rows import Row, by_id, id_in, one_file, read_rows
from .studies import studies_below
from .table import Cohort, Sample, safe_name

# sct_ab_desc; an abnormality table has one row for each abnormality of a screening CT
CODES = {
    54: "atelectasis",  # segmental or greater
    55: "pleural_thickening_or_effusion",
    58: "consolidation",
    59: "emphysema",
    60: "significant_cardiovascular_abnormality",
}
CARDIOVASCULAR = 60
_YEAR = {"1999": 0, "2000": 1, "2001": 2}
_DAYS = 365.25
_SEX = {"1": "M", "2": "F"}


@dataclass(frozen=True)
class _Participant:
    screen_days: tuple[float, ...]  # from randomisation to each screening
    end_days: float  # to death or last contact
    event: float
    age: float  # at randomisation
    sex: str


def read_nlst(folder: str | Path, workers: int | None = 1) -> Cohort:
    """Every screening CT (a folder) with what its readers reported and how follow-up ended.

    Labels are those of `CODES` in the CT's screening year, and `cvd`, of the participant: 1 for a significant
    cardiovascular abnormality at any screening or death from a circulatory disease (ICD-10 I00 to I99), 0 for neither,
    unknown where no abnormality was reported and the table has no deaths. The lists of the paper's split
    (7,268 / 1,042 / 2,085 subjects) are not part of NLST: no split.

    Raises:
        InputError: no CTs or no tables in the folder, or a column is missing.
    """
    folder = Path(folder)
    codes = _codes(one_file(folder, "*sct_abnormalities*.csv", "*ctab_*.csv"))
    people = _participants(one_file(folder, "*participant*.csv", "*prsn*.csv"))
    found = studies_below(folder, workers)
    failed = dict(found.failed)
    exams = [(exam, exam.patient, _YEAR.get(exam.date[:4])) for exam in found.ct]
    ever = {pid for (pid, _), there in codes.items() if CARDIOVASCULAR in there}
    names = told_apart(safe_name(f"{pid}-T{year}") for _, pid, year in exams)
    samples: list[Sample] = []
    for name, (exam, pid, year) in zip(names, exams, strict=True):
        person = people.get(pid)
        if year is None or person is None:
            said = f"StudyDate {exam.date or 'empty'} is not of 1999, 2000 or 2001" if year is None else ""
            what = f"{exam.path} {exam.series}".strip()
            failed[what] = said or f"participant {pid} is in no table"
            continue
        there = codes.get((pid, year), set())
        labels = {label: float(code in there) for code, label in CODES.items()}
        labels["cvd"] = 1.0 if pid in ever else math.nan if math.isnan(person.event) else float(person.event == 1)
        years = (person.end_days - person.screen_days[year]) / _DAYS
        outcome = person.event, years
        samples.append(Sample(name, pid, exam.path, "CT", "", labels, *outcome, exam.series, person.age, person.sex))
    for image in found.radiographs:
        failed[str(image.path)] = f"a radiograph ({image.modality}); NLST has CTs only"
    for pid, year in sorted(set(codes) - {(pid, year) for _, pid, year in exams}):
        failed[f"{pid}-T{year}"] = "abnormalities without a CT"
    return Cohort("nlst", tuple(samples), failed)


def _lower(path: Path, needed: tuple[str, ...]) -> list[Row]:
    rows = [Row(((column.lower(), cell) for column, cell in row.items()), row.line) for row in read_rows(path)]
    lacking = [name for name in needed if name not in rows[0]]
    if lacking:
        raise InputError(f"{path}: no column {lacking[0]}; is this the table as CDAS delivers it?")
    return rows


def _codes(path: Path) -> dict[tuple[str, int], set[int]]:
    """Abnormality codes by participant and screening year."""
    codes: dict[tuple[str, int], set[int]] = defaultdict(set)
    for row in _lower(path, ("pid", "study_yr", "sct_ab_desc")):
        year, code = as_number(row["study_yr"]), as_number(row["sct_ab_desc"])
        if not math.isnan(year) and not math.isnan(code):
            codes[id_in(path, row, "pid"), int(year)].add(int(code))
    return codes


def _participants(path: Path) -> dict[str, _Participant]:
    """By participant; two rows of one must agree."""
    rows = _lower(path, ("pid", "scr_days0", "scr_days1", "scr_days2"))
    return {pid: _participant(row) for pid, row in by_id(path, rows, "pid").items()}


def _participant(row: Mapping[str, str]) -> _Participant:
    """Days count from randomisation; `dcficd` is the cause on the death certificate in ICD-10."""
    screens = tuple(as_number(row[f"scr_days{year}"]) for year in (0, 1, 2))
    died, seen = (as_number(row.get(name, "")) for name in ("death_days", "fup_days"))
    cause = row.get("dcficd", "").strip().upper()
    event = math.nan if math.isnan(died) and math.isnan(seen) else 0.0
    if not math.isnan(died):
        event = 1.0 if cause.startswith("I") else 2.0 if cause[:1].isalpha() else math.nan
    age, sex = as_age(row.get("age", "")), _SEX.get(row.get("gender", ""), "")
    return _Participant(screens, seen if math.isnan(died) else died, event, age, sex)
