"""Training the gate: real, virtual and rendered frontals, turned, cut and inverted, among pictures that are none.

    python -m xray2xray.experiments.gate.train DATA --views VIRTUAL SHIP --scans CT ... --out DIR

DATA holds cxr_nih/ and cxr_ctr/: ChestX-ray14 without the patients that a hash keeps back, and the first half of
Wingspan. VIRTUAL and SHIP are view stores with frontals and laterals, of virtual patients and of CTs from which shipped
weights may learn. JSRT and the other half of Wingspan are never opened. `Gate.from_pretrained(DIR)` takes the result.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.seeds import deal
from ...io.model_folder import write_part
from ...models.adaptation.appearance import blur, collimate, local_contrast
from ...models.gate.gate import PART
from ...models.gate.network import ANSWERS, TURNS, GateConfig, GateNetwork, ranks
from ...parallel.progress import progress
from ..command import command, parser
from .mistakes import DRAWN, abdomen, crop, strip, turned
from .pictures import SIZE, Radiographs, masks, nih, slices, stored, wingspan

BATCH, RATE, SEED = 64, 2e-3, 0
DRAWN_EACH = 300  # pictures of each kind
UNKNOWN = -1.0  # a target that nobody knows: no loss


@dataclass(frozen=True, eq=False)
class Sources:
    """What is drawn from: frontals that are real and rendered, and pictures (n, 64, 64) that are no frontal."""

    real: Radiographs
    rendered: np.ndarray
    others: tuple[np.ndarray, ...]
    drawn: np.ndarray

    @classmethod
    def read(cls, data: Path, views: Sequence[Path], scans: Sequence[Path]) -> "Sources":
        real = nih(data, ("train", "validation")) + wingspan(data, "first")
        others = [np.concatenate([stored(store, frontal=False) for store in views]), masks(data, "wingspan", "first")]
        others += [slices(scans)] if scans else []
        rng = np.random.default_rng(SEED)
        drawn = np.stack([draw(rng, SIZE) for draw in DRAWN.values() for _ in range(DRAWN_EACH)])
        return cls(real, np.concatenate([stored(store, frontal=True) for store in views]), tuple(others), drawn)


def batch(sources: Sources, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Ranks (b, 1, 64, 64), targets (b, len(ANSWERS)) of 0, 1 or `UNKNOWN`, and the way each is turned (b,) or -1."""
    rows = [_frontal(sources, rng) if rng.random() < 0.55 else _other(sources, rng) for _ in range(BATCH)]
    x = torch.from_numpy(np.stack([gray for gray, _, _ in rows]))[:, None]
    x = _seen(x, generator)
    answers, turns = torch.tensor([row[1] for row in rows]), torch.tensor([row[2] for row in rows])
    inverted = torch.rand(BATCH, generator=generator) < 0.2
    answers[:, ANSWERS.index("inverted")] = torch.where(answers[:, 0] == 1, inverted.float(), UNKNOWN)
    x = torch.where(inverted[:, None, None, None], -x, x)
    return ranks(x[:, 0].numpy(), SIZE), answers, turns


def _frontal(sources: Sources, rng: np.random.Generator) -> tuple[np.ndarray, list[float], int]:
    """A frontal, half of them turned and a quarter cut: what is left of these may be called a chest or not."""
    if rng.random() < 0.75:
        at = int(rng.integers(len(sources.real.gray)))
        gray, ap = sources.real.gray[at], float(sources.real.ap[at])
    else:
        gray, ap = sources.rendered[rng.integers(len(sources.rendered))], UNKNOWN
    chest, whole = 1.0, 1.0
    if rng.random() < 0.25:
        gray, chest, whole, ap = (crop, strip)[rng.integers(2)](gray, rng), UNKNOWN, 0.0, UNKNOWN
    turn = 0 if rng.random() < 0.5 else int(rng.integers(len(TURNS)))
    return turned(gray, *TURNS[turn]), [chest, whole, UNKNOWN, ap], turn if whole else -1


def _other(sources: Sources, rng: np.random.Generator) -> tuple[np.ndarray, list[float], int]:
    """A picture that is no frontal, turned in any way."""
    kind = rng.random()
    if kind < 0.45:
        group = sources.others[0] if kind < 0.25 else sources.others[rng.integers(len(sources.others))]
        gray = group[rng.integers(len(group))]
    elif kind < 0.55:
        gray = abdomen(sources.rendered[rng.integers(len(sources.rendered))], rng)
    else:
        gray = sources.drawn[rng.integers(len(sources.drawn))]
    gray = np.asarray((gray - gray.min()) / max(float(np.ptp(gray)), 1e-6), np.float32)
    turn = 0 if rng.random() < 0.5 else int(rng.integers(len(TURNS)))
    return turned(gray, *TURNS[turn]), [0.0, UNKNOWN, UNKNOWN, UNKNOWN], -1


def _seen(gray: Tensor, generator: torch.Generator) -> Tensor:
    """Grey values 0..1 (b, 1, n, n) as another set and other hands would have taken them; -1..1."""
    n = len(gray)

    def symmetric(most: float) -> Tensor:
        return most * (2 * torch.rand(n, generator=generator) - 1)

    angle, zoom = torch.deg2rad(symmetric(7.0)), 1.15 ** symmetric(1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = angle.cos() / zoom
    theta[:, 0, 1], theta[:, 1, 0] = -angle.sin() / zoom, angle.sin() / zoom
    theta[:, :, 2] = torch.stack([symmetric(0.12), symmetric(0.12)], dim=1)
    x = F.grid_sample(
        2 * gray - 1, F.affine_grid(theta, list(gray.shape), False), padding_mode="border", align_corners=False
    )
    x = blur(local_contrast(x, symmetric(0.6)), symmetric(0.4) + 0.4)
    x = x + 0.04 * torch.rand(n, generator=generator)[:, None, None, None] * torch.randn(x.shape, generator=generator)
    return _marked(collimate(x.clamp(-1, 1), 0.3, generator), generator)


def _marked(x: Tensor, generator: torch.Generator) -> Tensor:
    """A lead letter near a corner of every third picture: it must not tell the side."""
    for one in x:
        if torch.rand(1, generator=generator) < 0.33:
            row, column = (int(at) for at in torch.randint(1, 8, (2,), generator=generator))
            row, column = (
                at if flip else SIZE - 4 - at
                for at, flip in zip((row, column), torch.rand(2, generator=generator) < 0.5)
            )
            one[0, row : row + 3, column : column + 3] = 1.0
    return x


def loss(found: Tensor, answers: Tensor, turns: Tensor) -> Tensor:
    """Cross-entropy of every answer that is known, and of the way a picture is turned."""
    n, known = len(ANSWERS), answers != UNKNOWN
    each = F.binary_cross_entropy_with_logits(found[:, :n], answers.clamp(min=0), reduction="none")
    weights = torch.tensor([2.0, 1.0, 1.0, 0.3])
    total = (each * known * weights).sum() / len(found)
    return total + F.cross_entropy(found[:, n:], turns, ignore_index=-1, reduction="sum") / len(found)


def train(sources: Sources, steps: int, seed: int) -> GateNetwork:
    torch.manual_seed(seed)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    network = GateNetwork(GateConfig())
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in progress(range(steps), "training the gate"):
        x, answers, turns = batch(sources, rng, generator)
        value = loss(network(x), answers, turns)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


def main(words: Sequence[str] | None = None) -> None:
    made = parser("gate.train", __doc__)
    made.add_argument("data", type=Path)
    made.add_argument("--views", type=Path, nargs="+", required=True, help="view stores with frontals and laterals")
    made.add_argument("--scans", type=Path, nargs="*", default=[], help="CTs whose axial slices are no radiographs")
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--steps", type=int, default=3000)
    made.add_argument("--seed", type=int, default=0)
    command(made, run, words)


def run(options: argparse.Namespace) -> None:
    sources = Sources.read(options.data, options.views, options.scans)
    network = train(sources, options.steps, options.seed)
    real = sources.real
    held = np.array([deal(patient) != "train" for patient in real.patients.tolist()])
    learned = np.concatenate([real.gray[~held], sources.rendered])
    network.learn_frontals(ranks(learned, SIZE), ranks(real.gray[held], SIZE))
    notes = {
        "training": {
            "radiographs": len(real.gray),
            "patients": len(set(real.patients.tolist())),
            "rendered": len(sources.rendered),
            "steps": options.steps,
            "seed": options.seed,
        }
    }
    write_part(options.out, PART, network, notes)
    print(f"the gate is in {options.out}")


if __name__ == "__main__":
    main()
