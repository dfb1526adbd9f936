"""The table of readers and endpoints, and what its numbers say, in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...reporting.tables import interval, p_value, table
from ...statistics.contrasts import holm_by_name
from ...statistics.resampling import bootstrap_p
from .cohort import ENDPOINTS, HAZARDS, People
from .score import Score, as_json

AGE_SEX = "age and sex"
PIXELS = "linear on 32 x 32 pixels of the frontal"
FRONTAL = "frontal"
FRONTAL_KNOWN = "frontal, age and sex"
BOTH = "frontal and lateral"
BOTH_KNOWN = "frontal and lateral, age and sex"
ORACLE = "oracle: true 3D factors, age and sex"
READERS = (AGE_SEX, PIXELS, FRONTAL, BOTH, FRONTAL_KNOWN, BOTH_KNOWN, ORACLE)
COLUMNS = (*ENDPOINTS, "mean")

BEYOND = "beyond a frontal"  # oracle - frontal, both with age and sex
LATERAL = "what the lateral adds"
DIFFERENCES = {BEYOND: (ORACLE, FRONTAL_KNOWN), LATERAL: (BOTH_KNOWN, FRONTAL_KNOWN)}


def summary(
    scores: Mapping[str, Score], learning: Mapping[int, Score], true: Mapping[str, Score], test: People
) -> dict[str, Any]:
    """All scores as strict JSON.

    Args:
        scores: by `READERS`.
        learning: of the frontal alone, by number of training patients, rising.
        true: of the true log hazards, by `HAZARDS`; only their cvd_time means anything.
        test: who was scored.
    """
    *_, before, last = learning.values()
    positives = [*test.labels.sum(axis=0), test.event.sum()]
    return {
        "positives": {name: int(n) for name, n in zip(ENDPOINTS, positives, strict=True)},
        "readers": {name: as_json(scores[name], COLUMNS) for name in READERS},
        "differences": _differences(
            {name: _less(scores[one], scores[other]) for name, (one, other) in DIFFERENCES.items()}
        ),
        "learning": {str(n): as_json(found, COLUMNS) for n, found in learning.items()},
        "last_doubling": as_json(_less(last, before), COLUMNS),
        "true_hazard": {name: as_json(true[name], COLUMNS)["cvd_time"] for name in HAZARDS},
    }


def words(result: Mapping[str, Any]) -> list[str]:
    """What the numbers say: a sentence for each endpoint, one on the hazard, one on the learning curve."""
    readers, beyond, lateral = result["readers"], result["differences"][BEYOND], result["differences"][LATERAL]
    said = [
        f"`{name}`: a frontal with age and sex reaches {_cell(readers[FRONTAL_KNOWN][name])}, the oracle "
        f"{_cell(readers[ORACLE][name])}; {_cell(beyond[name], '+')} was not read from a frontal, "
        f"{_share(readers, name)} of what there is to know above chance. The lateral {_gain(lateral[name])}."
        for name in ENDPOINTS
    ]
    frontal, depth, hidden = (_cell(result["true_hazard"][name]) for name in HAZARDS)
    said.append(
        f"The true log hazard orders events at {hidden}; without the frailty that no image shows at {depth}, with only "
        f"the part that a frontal shows at {frontal}. What is missing to 1 is chance."
    )
    *_, half, whole = result["learning"]
    gain = result["last_doubling"]["mean"]
    rising = gain["ci95"] is not None and gain["ci95"][0] > 0
    verdict = (
        "still rising: the ceiling of a frontal is higher, and what is said to be beyond it an upper bound"
        if rising
        else "no rise beyond chance: more patients may still help, but little"
    )
    said.append(
        f"From {half} to {whole} training patients the frontal's mean changed by {_cell(gain, '+')}: {verdict}."
    )
    return said


def markdown(result: Mapping[str, Any]) -> str:
    """ceiling.json as text to read."""
    n, more = result["patients"], result["trainings"] > 1
    lines = [
        f"{n['train']} training, {n['validation']} validation and {n['test']} test patients (seeds "
        f"{result['first_seed']} to {result['last_seed']}), {result['steps']} steps "
        f"of {result['batch']} patients a network"
        + (f", means over {result['trainings']} trainings" if more else ", one training each")
        + ". AUROC, for `cvd_time` the C-index; 95 % bootstrap intervals over test patients. Virtual patients: planted "
        "factors recovered, not clinical performance.",
        "",
        *_table({"*positive, test*": result["positives"]}, result["readers"]),
        "",
        "True log hazard of `cvd_time`: "
        + "; ".join(f"{name} {_cell(found)}" for name, found in result["true_hazard"].items())
        + ".",
        "",
        "The frontal alone, by training patients:",
        "",
        *_table({}, result["learning"]),
        "",
        *(f"- {sentence}" for sentence in result["words"]),
    ]
    return "\n".join(lines) + "\n"


def _table(counts: Mapping[str, Mapping[str, int]], rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    body = [[name, *(str(row.get(column, "")) for column in COLUMNS)] for name, row in counts.items()]
    body += [[name, *(_cell(found[column]) for column in COLUMNS)] for name, found in rows.items()]
    return table(["", *(name.replace("_", " ") for name in COLUMNS)], body)


def _cell(found: Mapping[str, Any], sign: str = "") -> str:
    if found["value"] is None:
        return "–"
    return f"{found['value']:{sign}.2f}{interval(found['ci95'], f'{sign}.2f')}{p_value(found.get('p'))}"


def _share(readers: Mapping[str, Any], name: str) -> str:
    """How much of the oracle's way from 0.5 a frontal with age and sex does not go."""
    seen, all_there_is = readers[FRONTAL_KNOWN][name]["value"], readers[ORACLE][name]["value"]
    if all_there_is <= 0.5:
        return "an unknown share"
    return f"{np.clip((all_there_is - seen) / (all_there_is - 0.5), 0, 1):.0%}"


def _gain(found: Mapping[str, Any]) -> str:
    bounds = found["ci95"]
    clear = bounds is not None and not bounds[0] <= 0 <= bounds[1]
    return f"changes it by {_cell(found, '+')}" + ("" if clear else ", which may be chance")


def _differences(found: Mapping[str, Score]) -> dict[str, dict[str, dict[str, Any]]]:
    """As JSON, with p of each, adjusted for their number (Holm)."""
    told = {name: as_json(one, COLUMNS) for name, one in found.items()}
    tested = {(n, c): bootstrap_p(d) for n, one in found.items() for c, d in zip(COLUMNS, one.draws, strict=True)}
    for (name, column), p in holm_by_name(tested).items():
        told[name][column]["p"] = p
    return told


def _less(one: Score, other: Score) -> Score:
    """The difference, paired by patient."""
    return Score(one.value - other.value, one.draws - other.draws)
