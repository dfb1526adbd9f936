"""What a second given view adds to a frontal: `WorldModel.imagine(frontal, others={90.0: lateral})`.

    python -m benchmarks.second_view [CT ...] [--procedural 20] [--out DIR]

From each case the frontal is given, then one view more, and all others are predicted. Scored are angles at least 30
degrees from both given views and from the second one's mirror image. CTs are without their couch, which no frontal
shows. DIR gets second_view.json and second_view.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xray2xray.core.errors import InputError, UsageError
from xray2xray.evaluation.cases import rendered, sources
from xray2xray.evaluation.metrics import psnr, unit
from xray2xray.evaluation.results import Estimate, Failure, as_json
from xray2xray.io.files import write_json, write_text
from xray2xray.models.world_model import WorldModel
from xray2xray.projection import STANDARD_ARC, preset
from xray2xray.reporting.tables import interval, table

SECOND_DEG = (-90.0, 45.0, 90.0)
FAR_DEG = 30.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", nargs="*", help="chest CTs")
    parser.add_argument("--procedural", type=int, default=20, help="unseen virtual patients")
    parser.add_argument("--source", default="tiny")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    failed: list[Failure] = []
    try:
        result = second_views(options.ct, options.procedural, options.source, failed)
    except (InputError, UsageError) as error:
        sys.exit(f"benchmarks.second_view: {error}")
    write_json(options.out / "second_view.json", {"rows": result, "failed": as_json(failed), "source": options.source})
    text = markdown(result)
    write_text(options.out / "second_view.md", text)
    print(text)


def second_views(ct: Sequence[str], procedural: int, source: str, failed: list[Failure]) -> dict[str, dict]:
    """Evidence level and second angle -> `summary` of all cases; a case that cannot be used is noted in `failed`.

    Raises:
        InputError: no case could be used, or there is no such model.
        UsageError: the model has no sampler.
    """
    model = WorldModel.from_pretrained(source, "direct")
    found: dict[str, list[tuple[float, float]]] = {}
    for case in rendered(list(sources(ct, procedural, without_couch=True)), preset("chest", model.size), failed):
        for second in SECOND_DEG:
            found.setdefault(f"{case.evidence_level}, and {second:+g}", []).append(gains(model, case.views_p, second))
    if not found:
        raise InputError("no case could be used: name chest CTs, or --procedural N")
    return {name: summary(*np.array(rows).T) for name, rows in found.items()}


def scored(second_deg: float) -> list[int]:
    """Indices of the arc's angles that are far from both given views, and from the second one's mirror image."""
    given = (0.0, second_deg, second_deg - 180.0, second_deg + 180.0)
    return [i for i, yaw in enumerate(STANDARD_ARC) if all(abs(yaw - one) >= FAR_DEG for one in given)]


def gains(model: WorldModel, views_p: np.ndarray, second_deg: float) -> tuple[float, float]:
    """Mean PSNR (dB) at the scored angles from the frontal alone, and from both views."""
    at = scored(second_deg)
    wanted = [STANDARD_ARC[i] for i in at]
    frontal = views_p[STANDARD_ARC.index(0.0)]
    others = {second_deg: views_p[STANDARD_ARC.index(second_deg)]}
    truth = unit(views_p[at])
    alone, both = (model.imagine(frontal, yaw_deg=wanted, others=some) for some in (None, others))
    return float(psnr(unit(alone), truth).mean()), float(psnr(unit(both), truth).mean())


def summary(alone: np.ndarray, both: np.ndarray) -> dict[str, object]:
    """Means over cases, the paired gain with its 95 % patient-bootstrap interval, and every case's."""
    gain = Estimate.of(both - alone)
    return {
        "frontal": float(alone.mean()),
        "both": float(both.mean()),
        "gain": gain.mean,
        "gain_ci95": None if gain.ci95 is None else list(gain.ci95),
        "each": (both - alone).tolist(),
    }


def markdown(result: dict[str, dict]) -> str:
    rows = [
        [name, f"{row['frontal']:.2f}", f"{row['both']:.2f}", f"{row['gain']:+.2f}{interval(row['gain_ci95'], '.2f')}"]
        for name, row in result.items()
    ]
    return "\n".join([*table(["PSNR, dB, of the other views", "frontal", "and the second view", "gain"], rows), ""])


if __name__ == "__main__":
    main()
