"""What the gate lets through: frontals that it has not learned from, and every kind of mistake, with AUROC.

    python -m xray2xray.experiments.gate DATA --views CTS VIRTUAL --scans CT ... --photographs FOLDER --out OUT

DATA holds cxr_ctr/ and cxr_nih/; used are JSRT, the half of Wingspan and the patients of ChestX-ray14 that training
leaves out. CTS and VIRTUAL are view stores with frontals and laterals that were not learned from, FOLDER holds
pictures of anything. Writes gate.json and gate.md.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...models.gate import Gate, Quality
from ...statistics.auroc import auroc
from ...statistics.resampling import draw_patients, interval
from ..command import command, parser, write_result
from ..realism.report import table
from .mistakes import DRAWN, abdomen, crop, strip, turned
from .pictures import SIZE, jsrt, masks, nih, photographs, slices, stored, wingspan

SEED, EACH = 1, 100  # of the drawings, which are not those of training
_MADE: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "upside down": lambda gray, _: turned(gray, False, 180),
    "turned by 90 degrees": lambda gray, rng: turned(gray, False, int(rng.choice([90, 270]))),
    "mirrored": lambda gray, _: turned(gray, True, 0),
    "inverted grey values": lambda gray, _: 1 - gray,
    "crop": crop,
    "strip": strip,
}


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    made = parser("gate", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--gate", default="gate", help="packaged, or a folder")
    made.add_argument("--views", type=Path, nargs="+", required=True, help="view stores with frontals and laterals")
    made.add_argument("--scans", type=Path, nargs="*", default=[], help="CTs whose axial slices are no radiographs")
    made.add_argument("--photographs", type=Path, help="a folder of pictures that are no radiographs")
    made.add_argument("--out", type=Path, required=True)
    return command(made, judge, words)


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is written, and printed."""
    gate = Gate.from_pretrained(options.gate)
    real = {
        "JSRT": jsrt(options.data),
        "Wingspan": wingspan(options.data, "second"),
        "NIH": nih(options.data, ("test",)),
    }
    firsts = {name: one.gray[np.unique(one.patients, return_index=True)[1]] for name, one in real.items()}
    frontals = {name: answers(gate, gray) for name, gray in firsts.items()}
    frontals |= {store.name: answers(gate, stored(store, frontal=True)) for store in options.views}
    good = np.concatenate(list(firsts.values()))
    rng = np.random.default_rng(SEED)
    wrong = {name: np.stack([make(gray, rng) for gray in good]) for name, make in _MADE.items()}
    for store in options.views:
        wrong[f"lateral or oblique, {store.name}"] = stored(store, frontal=False)
    wrong["abdomen"] = np.stack([abdomen(gray, rng) for gray in stored(options.views[0], frontal=True)])
    wrong |= {name: np.stack([draw(rng, SIZE) for _ in range(EACH)]) for name, draw in DRAWN.items() if name != "mask"}
    wrong["segmentation mask"] = masks(options.data, "jsrt")
    if options.scans:
        wrong["axial slice of a CT"] = slices(options.scans)
    if options.photographs:
        wrong["photograph"] = np.stack(list(photographs(options.photographs).values()))
    reference = [one for name in firsts for one in frontals[name]]
    results = {
        "gate": gate.notes,
        "frontals": {name: shares(found) for name, found in frontals.items()},
        "mistakes": {name: mistake(reference, answers(gate, gray)) for name, gray in wrong.items()},
        "projection": projection(gate, real["NIH"].gray, real["NIH"].ap, frontals["JSRT"]),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_result(options.out, "gate", results, markdown(results))
    return results


def answers(gate: Gate, gray: np.ndarray) -> list[Quality]:
    return [gate(one) for one in gray]


def doubt(one: Quality) -> float:
    """How likely anything is wrong: the largest of what the gate asks."""
    return max(1 - one.chest, one.turned, one.mirrored, 1 - one.whole, one.inverted)


def shares(found: Sequence[Quality]) -> dict[str, float]:
    """Of pictures: how many, and the shares that are refused and that get a warning or are refused."""
    return {
        "n": len(found),
        "refused": float(np.mean([bool(one.refusal) for one in found])),
        "warned": float(np.mean([bool(one.warnings) for one in found])),
    }


def mistake(reference: Sequence[Quality], found: Sequence[Quality]) -> dict[str, Any]:
    """AUROC of `doubt` against real frontals, its 95 % interval, and the shares; also of the distance in pixels."""
    labels = np.r_[np.zeros(len(reference)), np.ones(len(found))]
    counts = np.concatenate([draw_patients(len(one), seed=seed) for seed, one in enumerate((reference, found))], axis=1)
    result: dict[str, Any] = shares(found)
    for name, score in (("auroc", doubt), ("auroc_unlike", lambda one: one.unlike)):
        scores = np.array([score(one) for one in (*reference, *found)])
        result[name] = float(auroc(labels, scores))
        result[f"{name}_ci95"] = interval(auroc(labels, scores, counts))
    return result


def projection(gate: Gate, gray: np.ndarray, ap: np.ndarray, films: Sequence[Quality]) -> dict[str, float]:
    """How well AP is told from PA in ChestX-ray14, and how often the gate says which; of PA films elsewhere, too."""
    found = answers(gate, gray)
    told = np.array([one.projection for one in found])
    known = told != "cannot tell"
    right = (told == "AP") == (ap == 1)
    return {
        "n": len(found),
        "auroc": float(auroc(ap, np.array([one.ap for one in found]))),
        "told": float(known.mean()),
        "right_where_told": float(right[known].mean()),
        "jsrt_called_pa": float(np.mean([one.projection == "PA" for one in films])),
        "jsrt_called_ap": float(np.mean([one.projection == "AP" for one in films])),
    }


def markdown(results: Mapping[str, Any]) -> str:
    text = "# The gate\n\n"
    rows = [
        [name, str(one["n"]), _percent(one["refused"]), _percent(one["warned"])]
        for name, one in results["frontals"].items()
    ]
    text += table(("frontals, upright", "n", "refused", "warned or refused"), rows) + "\n"
    rows = [
        [
            name,
            str(one["n"]),
            _area(one, "auroc"),
            _area(one, "auroc_unlike"),
            _percent(one["refused"]),
            _percent(one["warned"]),
        ]
        for name, one in results["mistakes"].items()
    ]
    head = ("mistake", "n", "AUROC [95 %]", "AUROC of the distance in pixels", "refused", "warned or refused")
    text += table(head, rows) + "\n"
    told = results["projection"]
    text += (
        f"PA or AP, {told['n']} pictures of ChestX-ray14: AUROC {told['auroc']:.2f}; the gate says which of "
        f"{_percent(told['told'])} and is right in {_percent(told['right_where_told'])} of these. Of JSRT's PA films "
        f"it calls {_percent(told['jsrt_called_pa'])} PA and {_percent(told['jsrt_called_ap'])} AP.\n"
    )
    return text


def _area(one: Mapping[str, Any], name: str) -> str:
    low, high = one[f"{name}_ci95"]
    return f"{one[name]:.3f} [{low:.3f}, {high:.3f}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
