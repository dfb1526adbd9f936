"""What an adapter does, on the half of the radiographs that it never saw.

    python -m xray2xray.experiments.adaptation DATA --views STORE --adapter DIR --out OUT --learned wingspan nih

DATA holds cxr_ctr/ (JSRT and Wingspan, with masks) and cxr_nih/ (ChestX-ray14), STORE is the view store the adapter was
trained on: its studies after those are used here. OUT gets adaptation.json, adaptation.md and adaptation.png. Three
ways of preparing a radiograph stand beside each other: `quantiles` (the verbs' default), `lung_field`, and `adapted`,
which is the adapter on the latter. Sets that are not named by --learned come from elsewhere: the adapter knows nothing
of them, and what it does there is told apart.
"""

import argparse
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.errors import UsageError
from ...data.radiographs import Half
from ...data.store import ViewStore
from ...evaluation.ood import reconstruction_error
from ...io.files import write_json, write_text
from ...models.adaptation import Adapter
from ...models.input_statistics import InputStatistics
from ...models.world_model import WorldModel
from ...radiograph import save_png, to_gray
from ..command import command, parser
from ..realism.report import table
from .domain import answers, probe, told_apart, train_classifier
from .findings import erased_and_invented, looks
from .images import ARMS, HEART, LUNGS, MASKED, SETS, Radiographs, list_entries, load_half, load_rendered
from .segmentation import dice, ratios, segment, train_segmentation

WORDS = {"learned": "Sets it was trained on", "elsewhere": "Sets it knows nothing of"}
OWN_READER = "adapted_own_reader"
OTHER: dict[Half, Half] = {"first": "second", "second": "first"}


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    made = parser("adaptation", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--views", type=Path, required=True)
    made.add_argument("--adapter", type=Path, required=True)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--learned", nargs="+", choices=SETS, default=list(SETS), help="sets it was trained on")
    made.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="sets that are looked at")
    made.add_argument("--steps", type=int, default=400, help="of each domain classifier; twice as many of the U-Net")
    made.add_argument("--rendered", type=int, default=400, help="frontals, half of them for training classifiers")
    made.add_argument("--most", type=int, default=1000, help="radiographs of each half")
    made.add_argument("--patients", type=int, default=30, help="virtual, with each finding")
    made.add_argument("--seed", type=int, default=0, help="of the classifiers and the U-Net")
    return command(made, judge, words)


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is written, and printed.

    Raises:
        InputError: adapter, radiographs or views cannot be read, or are too few.
        UsageError: nothing is left that the adapter has not seen, or no set has masks.
    """
    if not set(options.sets) & set(MASKED):
        raise UsageError(f"--sets: one of {' and '.join(MASKED)} is needed, for the masks")
    adapter = Adapter.from_pretrained(options.adapter)
    half = next((half for half in OTHER if half == adapter.notes.get("half")), None)
    if half is None:
        seen = adapter.notes.get("half")
        raise UsageError(
            f"{options.adapter} was trained on {seen} of the radiographs; nothing unseen is left to judge it"
        )
    quantiles, split_seed = InputStatistics.load("tiny").frontal_quantiles, int(adapter.notes["seed"])
    entries = list_entries(options.data, options.sets)
    known, unseen = (
        load_half(entries, part, adapter, split_seed, quantiles, options.most) for part in (half, OTHER[half])
    )
    store = ViewStore.open(options.views)
    studies = store.studies()[int(adapter.notes["rendered"]) :][: options.rendered]
    rendered = load_rendered(store, studies)
    known_p, unseen_p = rendered[: len(rendered) // 2], rendered[len(rendered) // 2 :]
    reference, parts = read_rendered(known_p, unseen_p), origins(unseen, options.learned)
    results = {
        "run": {
            "adapter": adapter.notes,
            "known": len(known.masks),
            "unseen": len(unseen.masks),
            "learned": options.learned,
            "rendered": len(rendered),
            "steps": options.steps,
            "seed": options.seed,
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
        },
        "domain": {
            name: domain(known.of(sets), unseen.of(sets), reference, options.steps, options.seed)
            for name, sets in parts.items()
        },
        "anatomy": anatomy(known.of(MASKED), unseen.of(MASKED), 2 * options.steps, options.seed),
        "findings": erased_and_invented(adapter, looks(adapter.size, options.patients)) if options.patients else None,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(options.out / "adaptation.json", results)
    text = markdown(results)
    write_text(options.out / "adaptation.md", text)
    picture(options.out / "adaptation.png", unseen.of(next(iter(parts.values()))), unseen_p)
    print(text)
    return results


def origins(unseen: Radiographs, learned: Sequence[str]) -> dict[str, list[str]]:
    """The sets that are there: `learned`, those the adapter was trained on, and `elsewhere`, the others."""
    parts = {
        "learned": [s for s in unseen.sets if s in learned],
        "elsewhere": [s for s in unseen.sets if s not in learned],
    }
    return {name: sets for name, sets in parts.items() if sets}


@dataclass(frozen=True, eq=False)
class Rendered:
    """Rendered frontals (n, size, size) p of two halves, V's features of both, and its median error on the second."""

    model: WorldModel
    known_p: np.ndarray
    unseen_p: np.ndarray
    features: tuple[np.ndarray, np.ndarray]
    v_error: float


def read_rendered(known_p: np.ndarray, unseen_p: np.ndarray) -> Rendered:
    model = WorldModel.from_pretrained(form="direct")
    features = model.features(known_p, "vision"), model.features(unseen_p, "vision")
    return Rendered(model, known_p, unseen_p, features, _v_error(model, unseen_p))


def domain(known: Radiographs, unseen: Radiographs, rendered: Rendered, steps: int, seed: int) -> dict[str, Any]:
    """For each arm: AUROC of a CNN and of a probe on V's features, both trained anew, and V's error over that on
    rendered.

    `frozen` is the CNN that was trained before the adapter came, asked about what the adapter made. `sets` holds the
    CNN's figures for each set alone.
    """
    model = rendered.model
    found: dict[str, Any] = {}
    for arm in ARMS:
        network = train_classifier(known.arms[arm], rendered.known_p, steps, seed)
        real, simulated = answers(network, unseen.arms[arm]), answers(network, rendered.unseen_p)
        real_features = (model.features(half.arms[arm], "vision") for half in (known, unseen))
        pairs = list(zip(real_features, rendered.features, strict=True))
        found[arm] = {
            "cnn": told_apart(real, simulated),
            "sets": {name: told_apart(real[unseen.datasets == name], simulated) for name in unseen.sets},
            "v_probe": probe(pairs[0], pairs[1]),
            "v_error_ratio": _v_error(model, unseen.arms[arm]) / rendered.v_error,
        }
        if arm == "lung_field":
            found["frozen"] = told_apart(answers(network, unseen.arms["adapted"]), simulated)
    return found


def _v_error(model: WorldModel, views_p: np.ndarray) -> float:
    """Median over the views."""
    return float(np.median(reconstruction_error(views_p, model.reconstruct_views(views_p, quantised=False))))


def anatomy(known: Radiographs, unseen: Radiographs, steps: int, seed: int) -> dict[str, Any]:
    """Dice against the given masks and CTR, by one network, before (`lung_field`) and after (`adapted`).

    A network that learned from adapted pictures of the known half reads them, too (`adapted_own_reader`): what it still
    lacks is anatomy that is gone, the rest a look that the first network does not know. `sets` holds the change of Dice
    and of CTR, by one network, for each set alone.
    """
    usual, own = (train_segmentation(known.arms[arm], known.masks, steps, seed) for arm in ("lung_field", "adapted"))
    readers = {"lung_field": (usual, "lung_field"), "adapted": (usual, "adapted"), OWN_READER: (own, "adapted")}
    given = ratios(unseen.masks)
    found: dict[str, Any] = {}
    per_picture: dict[str, dict[str, np.ndarray]] = {}
    for arm, (network, pictures) in readers.items():
        masks = segment(network, unseen.arms[pictures])
        per_picture[arm] = {
            "dice_lungs": dice(masks, unseen.masks, LUNGS),
            "dice_heart": dice(masks, unseen.masks, HEART),
            "ctr": ratios(masks),
        }
        found[arm] = {name: float(per_picture[arm][name].mean()) for name in ("dice_lungs", "dice_heart")}
        found[arm]["ctr_error"] = float(np.abs(per_picture[arm]["ctr"] - given).mean())
    change = {name: per_picture["adapted"][name] - before for name, before in per_picture["lung_field"].items()}
    for name in unseen.sets:
        rows = unseen.datasets == name
        found.setdefault("sets", {})[name] = {
            "dice_lungs": float(change["dice_lungs"][rows].mean()),
            "dice_heart": float(change["dice_heart"][rows].mean()),
            "ctr_change": float(np.abs(change["ctr"][rows]).mean()),
        }
    return found | {"ctr_change": float(np.abs(change["ctr"]).mean()), "ctr_shift": float(change["ctr"].mean())}


def markdown(results: dict[str, Any]) -> str:
    run, outlines = results["run"], results["anatomy"]
    text = (
        f"# Adaptation\n\n{run['unseen']} radiographs of the half that the adapter never saw, {run['rendered'] // 2} "
        "rendered frontals.\n"
    )
    for origin, found in results["domain"].items():
        sets = sorted(found[ARMS[0]]["sets"])
        rows = [
            [arm, *(_interval(found[arm][judge]) for judge in ("cnn", "v_probe"))]
            + [_interval(found[arm]["sets"][name]) for name in sets]
            + [f"{found[arm]['v_error_ratio']:.2f}"]
            for arm in ARMS
        ]
        head = ("CNN, AUROC [95 %]", "probe on V, AUROC [95 %]", *(f"CNN, {name}" for name in sets))
        text += f"\n## {WORDS[origin]}: {', '.join(sets)}\n\n"
        text += table(("", *head, "V's error over that on rendered"), rows)
        text += f"\nThe CNN trained on `lung_field`, asked about `adapted`: {_interval(found['frozen'])}.\n"
    text += "\n## Anatomy\n\n"
    keys = ("dice_lungs", "dice_heart", "ctr_error")
    text += table(
        ("", "Dice, lungs", "Dice, heart", "CTR error"),
        [[arm, *(f"{outlines[arm][key]:.3f}" for key in keys)] for arm in ("lung_field", "adapted", OWN_READER)],
    )
    text += f"\nCTR changes by {outlines['ctr_change']:.3f} (mean absolute; mean {outlines['ctr_shift']:+.3f}).\n\n"
    text += table(
        ("adapted less lung_field", "Dice, lungs", "Dice, heart", "CTR, absolute"),
        [
            [name, f"{one['dice_lungs']:+.3f}", f"{one['dice_heart']:+.3f}", f"{one['ctr_change']:.3f}"]
            for name, one in outlines["sets"].items()
        ],
    )
    f = results["findings"]
    if f is not None:
        rows = [
            [name, str(one["visible"]), f"{one['contrast_kept']:.2f}", f"{one['erased']:.1%}"]
            for name, one in f["findings"].items()
        ]
        median, high = f["unexplained_p"]
        text += f"\n## Findings of {f['patients']} virtual patients\n\n"
        text += table(("", "visible", "contrast kept, median", "erased"), rows)
        text += (
            f"\nUnexplained shadows: {median:.2f} p (median), {high:.2f} (95 %); above 0.3 in {f['invented']:.1%}.\n"
        )
    return text


def _interval(found: dict[str, float]) -> str:
    return f"{found['auroc']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def picture(path: Path, unseen: Radiographs, rendered_p: np.ndarray, shown: int = 8) -> None:
    """Eight unseen radiographs in the three ways, and eight rendered frontals, from top to bottom."""
    shown = min(shown, len(unseen.masks), len(rendered_p))
    chosen = np.linspace(0, len(unseen.masks) - 1, shown).astype(int)
    rows = [*(unseen.arms[arm][chosen] for arm in ARMS), rendered_p[:shown]]
    save_png(path, np.concatenate([np.concatenate(list(to_gray(row)), axis=1) for row in rows]))


if __name__ == "__main__":
    main()
