"""What can a frontal view know of each label, and what can no frontal know?

    xray2xray render --procedural 10000 --size 64 --yaw-deg 0 90 --out VIEWS
    python -m xray2xray.experiments.ceiling VIEWS --out DIR

VIEWS is any store with virtual patients at 0 and 90 degrees, or several. Readers of age and sex, of pictures and of the
true 3D factors are fitted on the training patients, tuned on the validation patients and scored on the test patients of
the cohort's own split. DIR gets ceiling.json and ceiling.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.device import pick_device
from ...core.errors import InputError, UsageError
from ...data.store import ViewStore
from ...probing.probe import pixel_features
from ...statistics.resampling import draw_patients
from ..command import command, parser, write_result
from .cohort import ENDPOINTS, HAZARDS, People, people, read_stores
from .network import BATCH, CHECKS, read_with_network
from .report import AGE_SEX, BOTH, BOTH_KNOWN, FRONTAL, FRONTAL_KNOWN, ORACLE, PIXELS, markdown, summary, words
from .score import score
from .tables import linear, oracle

SHARES = (0.25, 0.5, 1.0)  # of the training patients, for the learning curve
Places = tuple[np.ndarray, np.ndarray, np.ndarray]


def main(words: Sequence[str] | None = None) -> None:
    made = parser("ceiling", __doc__)
    made.add_argument("views", type=Path, nargs="+", help="view stores")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--steps", type=int, default=1000, help="of --batch patients, the budget of every network")
    made.add_argument("--batch", type=int, default=BATCH, help="patients of a step; a GPU wants some hundreds")
    made.add_argument("--seeds", type=int, default=1, help="trainings of every network; scores are their mean")
    made.add_argument("--device", default="cpu", help="auto, cpu or cuda: where the networks are trained")
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    if options.steps < CHECKS or options.seeds < 1 or options.batch < 2:
        raise UsageError(f"--steps wants at least {CHECKS}, --seeds at least 1, --batch at least 2")
    training = Training(options.steps, options.seeds, options.batch, pick_device(options.device))
    result = ceiling(options.views, training)
    write_result(options.out, "ceiling", result, markdown(result))


@dataclass(frozen=True)
class Training:
    """Of every network: `steps` of `batch` patients, by `seeds` trainings, on a device."""

    steps: int
    seeds: int
    batch: int = BATCH
    device: str = "cpu"


def ceiling(views: Sequence[Path], training: Training) -> dict[str, Any]:
    """Everything that ceiling.json holds, of the patients of all the stores.

    Raises:
        InputError: the store cannot be used, or a part of its patients lacks positives or negatives of a label.
    """
    numbers, pictures = read_stores([ViewStore.open(folder) for folder in views])
    everyone = people(numbers)
    places = (everyone.places("train"), everyone.places("validation"), everyone.places("test"))
    _refuse_too_few(everyone, places)
    test = everyone[places[2]]
    answers = answers_of_tables(everyone, pictures, places)
    curve: dict[int, np.ndarray] = {}
    for share in SHARES:
        some = (places[0][: max(1, round(share * len(places[0])))], *places[1:])
        curve[len(some[0])] = answers_of_networks(pictures[:, :1], everyone, some, training, FRONTAL)
    answers[FRONTAL], answers[FRONTAL_KNOWN] = curve[len(places[0])].swapaxes(0, 1)
    both = answers_of_networks(pictures, everyone, places, training, BOTH)
    answers[BOTH], answers[BOTH_KNOWN] = both.swapaxes(0, 1)

    counts = draw_patients(len(test))
    scores = {name: score(found, test, counts) for name, found in answers.items()}
    learning = {n: score(found[:, 0], test, counts) for n, found in curve.items()}
    true = {
        name: score(np.tile(column[None, :, None], (1, 1, len(ENDPOINTS))), test, counts)
        for name, column in zip(HAZARDS, test.log_hazard.T, strict=True)
    }
    result: dict[str, Any] = {
        "patients": {name: len(rows) for name, rows in zip(("train", "validation", "test"), places, strict=True)},
        "first_seed": int(everyone.seeds.min()),
        "last_seed": int(everyone.seeds.max()),
        "steps": training.steps,
        "batch": training.batch,
        "trainings": training.seeds,
        **summary(scores, learning, true, test),
    }
    return {**result, "words": words(result)}


def answers_of_tables(everyone: People, pictures: np.ndarray, places: Places) -> dict[str, np.ndarray]:
    """Reader -> answers (1, n_test, 7) of those that train no network."""
    train, validation, test = (everyone[rows] for rows in places)
    frontal = pictures[:, 0]
    on_train, on_rest = pixel_features(frontal[places[0]], frontal[np.concatenate(places[1:])])
    pixels = (on_train, on_rest[: len(validation)], on_rest[len(validation) :])
    return {
        AGE_SEX: linear((train.known, validation.known, test.known), train, validation)[None],
        PIXELS: linear(pixels, train, validation)[None],
        ORACLE: oracle(train, validation, test)[None],
    }


def answers_of_networks(
    pictures: np.ndarray, everyone: People, places: Places, training: Training, name: str
) -> np.ndarray:
    """Answers (seeds, 2, n_test, 7) of networks that differ in their seed: without, and with age and sex."""
    said = f"{name}, {len(places[0])} patients"
    return np.stack(
        [
            read_with_network(pictures, everyone, places, training.steps, seed, said, training.device, training.batch)
            for seed in range(training.seeds)
        ]
    )


def _refuse_too_few(everyone: People, places: Places) -> None:
    for name, rows in zip(("training", "validation", "test"), places, strict=True):
        part = everyone[rows]
        counts = [*part.labels.sum(axis=0), part.event.sum()]
        for endpoint, positives in zip(ENDPOINTS, counts, strict=True):
            if not 0 < positives < len(part):
                found = f"{int(positives)} of {len(part)} {name} patients have {endpoint}"
                raise InputError(f"{found}; render more patients into the store")


if __name__ == "__main__":
    main()
